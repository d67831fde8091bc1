"""What the users of `laneway acl` may do, all together and on lanes of any name.

The servers of tests allow nobody more who comes by their URL (see `conftest.py`), so that no command
and no key of Laneway is missing from the roles. Which role needs what, `broker/test_acl.py` and
`platform/test_acl_users.py` tell: there each has a user of its own.
"""

from laneway.tasks.broker.acl import rules
from laneway.tasks.broker.acl_roles import ROLES, Scope, make_users
from laneway.tasks.queues import Catalogue, Queue

_LANE = "lane-of-any-name"
_LONGEST_NAME = 48


def rights_of_all_roles(version: tuple[int, ...]) -> list[str]:
    """As rules of 6.2, which takes any word; a newer server refuses commands that it does not have."""
    catalogue = Catalogue({_LANE: Queue()}, source="a test")
    users = make_users(
        Scope(catalogue, lanes=(_LANE,), kombu=True), [role for role in ROLES if role != "admin"]
    )
    words = dict.fromkeys(word for user in users for word in rules(user, "6.2"))
    if version >= (7,):
        words.pop("+client|maint_notifications")
    if (7,) <= version < (7, 2):
        words.pop("+client|setinfo")
    # A user without a name is asked how its Redis saves; see `inspection.py`.
    return [*dict.fromkeys(rule for word in words for rule in _of_any_lane(word)), "+config|get"]


def _of_any_lane(rule: str) -> list[str]:
    """A rule for lanes of any name. No pattern says 'some letters': it says how many."""
    name = rule.removeprefix("~")
    if name != rule and name.startswith(_LANE) and "@" not in name:
        rest = name.removeprefix(_LANE)
        return [f"~{'[a-z0-9-]' * length}{rest}" for length in range(1, _LONGEST_NAME + 1)]
    return [rule.replace(_LANE, "*")]
