"""What a communicator knows of itself."""

from __future__ import annotations

from typing import NamedTuple, Optional


class Wire(NamedTuple):
    """Which wire leads from this rank to a peer."""

    peer: int
    #: "shm", "verbs", "tcp"; "self" for this rank.
    transport: str
    #: One sentence: why not a faster one.
    reason: str


class Usage(NamedTuple):
    """What this rank's side of a communicator holds of the process's resources."""

    #: Given out by empty() and zeros(), and still in use.
    allocated_bytes: int
    #: The caller's, by register().
    registered_bytes: int
    #: Of the operations; as much as the largest call needed.
    scratch_bytes: int
    #: Mailboxes and buffers of the links, this end's.
    link_bytes: int
    #: To peers that data has been exchanged with.
    links: int
    #: For heartbeats and news.
    control_links: int
    #: Open files of all the above.
    descriptors: int
    #: Rounds of messages that it took the ranks to meet.
    rounds: int


class OperationRecord(NamedTuple):
    """One call of this rank. Times are seconds of time.monotonic(); 0.0 if they have not come."""

    #: The how-manieth call on the communicator, from 0; sends and recvs are counted by themselves.
    sequence: int
    #: "all_reduce" and its like, "send" or "recv".
    operation: str
    #: The type of the elements.
    dtype: str
    #: How contributions were combined, if they were.
    op: Optional[str]
    #: How the collective ran.
    algorithm: Optional[str]
    root: Optional[int]
    #: Elements of one block, and their bytes.
    elements: int
    nbytes: int
    #: The call was made; all calls before it had finished; it had finished itself.
    submitted: float
    started: float
    finished: float
    #: "queued", "running", "succeeded" or "failed".
    outcome: str
    #: The peer that it waited for longest, if it waited, and how long (seconds).
    waited_for: Optional[int]
    waited: float
    #: Of a send or recv.
    peer: Optional[int]
    tag: Optional[int]
