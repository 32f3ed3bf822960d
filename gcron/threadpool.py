"""`ThreadPool`: real threads for calls that would block the loop.

Example::

    from gcron.threadpool import ThreadPool

    pool = ThreadPool(4)
    print(pool.spawn(sum, [1, 2, 3]).get())
"""

from gcron.runtime.threadpool import ThreadPool

__all__ = ["ThreadPool"]
