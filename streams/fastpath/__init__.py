"""The compiled short way for page views, most of all traffic.

A page view that changes nothing but numbers (no stage, no score to be written, nothing that was due) goes from the
bytes that the broker sent into the packed lead's bytes in C, without an object for what it says: about a microsecond
instead of forty. A thousand are taken in one go, without the interpreter's lock: each lead's state is looked up once
before and written back once after.

Whatever is not plain is left, untouched, to the Python that decides: `streams.wire` decodes it and
`streams.qualification.step` judges it, and with it all that follows for the same lead. What is done here must be what
they would have done, byte for byte; the tests run both beside each other. Without a compiler at installation there is
no short way, and all goes the long one.
"""

from streams.fastpath.pageviews import PageViews, ViewReader
from streams.fastpath.states import States

__all__ = ["PageViews", "States", "ViewReader"]
