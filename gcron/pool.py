"""`Group`, a set of greenlets to join or kill together, and `Pool`, a group with a maximum size.

Example::

    from gcron.pool import Pool

    pool = Pool(4)
    print(pool.map(abs, [-1, 2, -3]))
"""

from gcron.runtime.pool import Group, Pool, PoolFull

__all__ = ["Group", "Pool", "PoolFull"]
