"""What may lie on a lane: messages, and whatever else a stranger puts there."""

from hypothesis import strategies as st

LIMIT_BYTES = 200
"""The largest message that is taken."""

BROKEN_NOTES = [
    b'{"laneway":[1,' + b"9" * 400 + b',"w",0,1],"body":""}',
    b'{"laneway":[1,1,"w",' + b"9" * 400 + b',1],"body":""}',
    b'{"laneway":[1,1,"two words",0,1],"body":""}',
    b'{"laneway":[1,1,"a\nb",0,1],"body":""}',
    b'{"laneway":[1,9,"\xff",0,1],"body":""}',
    b'{"laneway":[1,1,"",0,1],"body":""}',
    b'{"laneway":[1,1,"\0w",0,1],"body":""}',
    b'{"laneway":[1,-1,"w",0,1],"body":""}',
    b'{"laneway":[1,1,"w",0,1]',
]
"""What looks like the note of a message that came back, and is none."""

FOREIGN_NOTES = [
    b'{"laneway":[1,1,"w",0,1],"body":""}',
    b'{"laneway":[7,2,"a-b_c.d@e",5,0,"later",{}],\xff\x00',
    b'{"laneway":[1,1,"w",0,1],"laneway":[1,4,"x",0,1],}',
]
ODD = [b"", b"{", b"[1]", b"\x00\xff\n", b"1 2 3 4 5 6\nx", b"x" * (LIMIT_BYTES + 1)]
HEADS = st.builds(
    b"1 %s %s tag %s %s later\n%s".__mod__,
    st.tuples(
        st.sampled_from([b"1", b"-1", b"9" * 10]),
        st.sampled_from([b"0", b"1", b"4", b"5", b"9" * 400]),
        st.sampled_from([b"-", b"w.1-x@host", b"\xff", b""]),
        st.sampled_from([b"0", b"5", b"9" * 16]),
        st.binary(max_size=4),
    ),
)
"""Heads of records, as they are and as they are not."""

JSON = st.builds(
    '{{"body":"{}","headers":{{"id":"{}"}}}}'.format, st.text("ab\\é\n"), st.integers()
)
ENTRIES = st.one_of(
    JSON.map(str.encode),
    JSON.map(str.encode),
    st.binary(max_size=8),
    st.sampled_from([*ODD, *BROKEN_NOTES, *FOREIGN_NOTES]),
)
