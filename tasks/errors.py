"""Every error Laneway raises, in one tree.

    LanewayError
    ├── ConfigurationError      a setting or the catalogue is wrong: the process does not start
    │   ├── SettingsError
    │   └── CatalogueError
    ├── SubmissionError         a door refused a task: nothing was queued
    │   ├── InvalidPayload      (also ValueError)
    │   ├── UnknownTask
    │   ├── UnknownQueue
    │   ├── TaskNotAdmitted     the queue exists, but does not run this task
    │   ├── IdempotencyConflict the key was used for another request
    │   ├── LaneFull            retry later
    │   ├── BrokerFull          retry later
    │   └── BrokerUnavailable   retry later (also ConnectionError)
    │       └── DeliveryUncertain   may be queued, or not
    ├── DocumentError           this document will never work: no retry
    │   ├── PathNotAllowed
    │   ├── DocumentNotFound
    │   ├── DocumentTooLarge
    │   ├── DocumentUnreadable
    │   ├── DocumentEncrypted
    │   └── DocumentEmpty
    ├── EmbeddingError          the endpoint or model is set up wrongly: no retry
    │   └── EmbeddingMismatch   another model or dimension than the collection holds
    ├── StorageError            the store refused: no retry
    │   ├── StorageFull
    │   └── StorageReadOnly
    ├── CollectionBusy          another run of rag.index_collection is under way: no retry
    ├── MailRefused             the mail server said no for good: no retry
    └── TransientError          may work in a moment: tasks retry it (also ConnectionError)
        ├── DocumentUnavailable
        ├── EmbeddingUnavailable
        ├── StorageUnavailable
        └── MailDeferred

A message says what was wrong, where, and the cure. Every class takes the message as its
only argument, so that an error survives pickling on its way out of a pool process.
"""


class LanewayError(Exception):
    """Root of the tree."""


class ConfigurationError(LanewayError):
    """The process cannot start with this configuration."""


class SettingsError(ConfigurationError):
    """A setting has a value that cannot be used."""


class CatalogueError(ConfigurationError):
    """The queue catalogue contradicts itself or the tasks it is to run."""


class SubmissionError(LanewayError):
    """A door refused a task; nothing was queued."""


class InvalidPayload(SubmissionError, ValueError):
    """The payload breaks the task's contract; the message names each field and its reason."""


class UnknownTask(SubmissionError):
    """No task of this name is known here."""


class UnknownQueue(SubmissionError):
    """No queue of this name is in the catalogue."""


class TaskNotAdmitted(SubmissionError):
    """The queue is known, but its catalogue entry does not run this task."""


class IdempotencyConflict(SubmissionError):
    """The idempotency key was used before for another request."""


class LaneFull(SubmissionError):
    """The queue holds as many messages as its `maxLength` allows; retry later."""


class BrokerFull(SubmissionError):
    """Redis is above its memory watermark; retry later."""


class BrokerUnavailable(SubmissionError, ConnectionError):
    """Redis cannot be reached or does not answer in time; retry later."""


class DeliveryUncertain(BrokerUnavailable):
    """Redis did not say whether it has the task; with an idempotency key it is safe to repeat."""


class DocumentError(LanewayError):
    """This document cannot be processed, now or later."""


class PathNotAllowed(DocumentError):
    """The path, bucket or host lies outside what the settings allow."""


class DocumentNotFound(DocumentError):
    """There is nothing at this path."""


class DocumentTooLarge(DocumentError):
    """The document, or what it unpacks to, is above the size limit."""


class DocumentUnreadable(DocumentError):
    """The document is damaged or of a kind that is not supported."""


class DocumentEncrypted(DocumentError):
    """The document wants a password."""


class DocumentEmpty(DocumentError):
    """The document holds no text."""


class EmbeddingError(LanewayError):
    """The embedding endpoint or model is set up wrongly, or answers nonsense."""


class EmbeddingMismatch(EmbeddingError):
    """The vectors come from another model, or have another dimension, than the collection's."""


class StorageError(LanewayError):
    """The store refused the operation for good."""


class StorageFull(StorageError):
    """No space is left in the store."""


class StorageReadOnly(StorageError):
    """The store may not be written."""


class CollectionBusy(LanewayError):
    """The collection is being indexed by another task."""


class MailRefused(LanewayError):
    """The mail server refused the message for good (SMTP 5xx other than the recipient)."""


class TransientError(LanewayError, ConnectionError):
    """It may work in a moment: tasks that retry on ConnectionError retry this."""


class DocumentUnavailable(TransientError):
    """The place the document lies in cannot be reached at the moment."""


class EmbeddingUnavailable(TransientError):
    """The embedding endpoint cannot be reached or is overloaded."""


class StorageUnavailable(TransientError):
    """The store cannot be reached at the moment."""


class MailDeferred(TransientError):
    """The mail server cannot take the message now (SMTP 4xx, network, time-out)."""
