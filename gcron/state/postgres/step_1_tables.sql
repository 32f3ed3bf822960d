-- The tables. Times are seconds of UTC, by the clock of the database where nodes are compared with one another; names
-- are compared byte by byte. {s} is the schema, quoted.

CREATE TABLE {s}.meta (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    version integer NOT NULL,   -- the number of the last step
    pauses_version bigint NOT NULL DEFAULT 0,
    next_round double precision NOT NULL DEFAULT 0  -- when all jobs are looked at for what need not be kept
);
CREATE TABLE {s}.incarnation (  -- of a node: a start, or a lease after one that was lost
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node text COLLATE "C" NOT NULL,
    machine text NOT NULL,
    boot_id text NOT NULL,
    host text NOT NULL,
    place text NOT NULL,        -- the directory on that machine that the gcron has locked
    pid integer NOT NULL,
    labels jsonb NOT NULL,
    version text NOT NULL,
    jobs integer NOT NULL DEFAULT 0,
    definitions text NOT NULL DEFAULT '',
    started double precision NOT NULL,  -- the process
    last_beat double precision NOT NULL,
    lease_until double precision NOT NULL,
    given_up boolean NOT NULL DEFAULT false,
    ended double precision,     -- in order
    skew double precision,
    won bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0
);
CREATE INDEX incarnation_node ON {s}.incarnation (node, number);
CREATE INDEX incarnation_lease ON {s}.incarnation (lease_until) WHERE NOT given_up;
CREATE TABLE {s}.turn (         -- of a job that nodes share: its claims are decided one after the other
    job text COLLATE "C" PRIMARY KEY,
    "floor" bigint NOT NULL DEFAULT 0,  -- its latest fire whose claim was deleted: none until then starts any more
    restarted double precision  -- its fires count from then on
);
CREATE SEQUENCE {s}.fence;
CREATE TABLE {s}.claim (        -- of a fire that one node starts
    job text COLLATE "C" NOT NULL,
    fire_at bigint NOT NULL,    -- 0: a service
    trigger text COLLATE "C" NOT NULL,
    fence bigint NOT NULL UNIQUE,
    incarnation bigint NOT NULL,
    state text NOT NULL,        -- claimed, over, offered: anybody may claim it again, lost: with its node
    answer text NOT NULL,       -- start, busy: what its node was told
    busy_node text,             -- who had the open run
    run_id text,                -- it has begun
    claimed_at double precision NOT NULL,
    due double precision NOT NULL,  -- from then on it is late
    over_at double precision,
    deadline double precision NOT NULL,
    may_overlap boolean NOT NULL,
    retry_lost boolean NOT NULL,
    PRIMARY KEY (job, fire_at, trigger)
);
CREATE INDEX claim_open ON {s}.claim (job) WHERE state = 'claimed';
CREATE INDEX claim_offered ON {s}.claim (claimed_at) WHERE state = 'offered';
CREATE INDEX claim_over ON {s}.claim (over_at) WHERE over_at IS NOT NULL;
CREATE TABLE {s}.definition (   -- what a node knows of a job
    node text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    schedule text,              -- a digest
    keep_runs bigint,
    keep_for double precision,
    since double precision NOT NULL,    -- from then on it is as it is
    removed double precision,
    last_fire bigint,           -- that was handled here
    claimed bigint,             -- the latest fire that was claimed, where nodes do not share them
    last_success double precision,
    chain text,                 -- of a job that runs after others: JSON
    PRIMARY KEY (node, name)
);
CREATE INDEX definition_name ON {s}.definition (name);
CREATE TABLE {s}.own_claim (    -- of a fire that each node has for itself, and whose outcome is still to come
    node text COLLATE "C" NOT NULL,
    job text COLLATE "C" NOT NULL,
    fire_at bigint NOT NULL,
    waits boolean NOT NULL,     -- it is to be made up after others
    PRIMARY KEY (node, job, fire_at)
);
CREATE TABLE {s}.pause (
    job text COLLATE "C" PRIMARY KEY,
    since double precision NOT NULL,
    until double precision,
    who text NOT NULL,
    why text NOT NULL
);
CREATE TABLE {s}.job (          -- the sums of its runs on all nodes
    name text COLLATE "C" PRIMARY KEY,
    last_fire bigint,
    success_noted double precision,     -- when its last success was written
    runs bigint NOT NULL DEFAULT 0,
    succeeded bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    missed bigint NOT NULL DEFAULT 0,
    recent text NOT NULL DEFAULT '',
    signs text NOT NULL DEFAULT '',
    last_finished double precision,
    last_success double precision,
    last_duration double precision,
    seconds double precision NOT NULL DEFAULT 0,
    longest double precision
);
CREATE INDEX job_success ON {s}.job (success_noted);
CREATE TABLE {s}.run (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL UNIQUE,
    job text COLLATE "C" NOT NULL,
    created double precision NOT NULL,
    outcome text NOT NULL,      -- empty: under way
    reason_code text NOT NULL,
    reason text NOT NULL,
    fire_at bigint,
    last_fire_at bigint,        -- of a span of missed fires
    fires bigint NOT NULL,
    started double precision,
    finished double precision,
    attempts bigint NOT NULL,
    exit_code bigint,
    duration double precision,
    cpu_seconds double precision,
    max_rss_bytes bigint,
    output_size bigint NOT NULL,
    left_behind text NOT NULL,
    pid bigint,
    pid_since double precision,
    who text NOT NULL,
    why text NOT NULL,
    node text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    incarnation bigint NOT NULL,
    reporter bigint,            -- the incarnation that is to report that it was lost,
    reported_at double precision    -- with the beats from then on
);
CREATE INDEX run_created ON {s}.run (created, number);
CREATE INDEX run_job ON {s}.run (job, created, number);
CREATE INDEX run_outcome ON {s}.run (outcome, created, number);
CREATE INDEX run_job_outcome ON {s}.run (job, outcome, created, number);
CREATE INDEX run_fence ON {s}.run (fence) WHERE outcome = '';
CREATE INDEX run_reporter ON {s}.run (reporter) WHERE reporter IS NOT NULL;
CREATE TABLE {s}.output (       -- the beginning and the end of what a run wrote
    run_id text COLLATE "C" PRIMARY KEY,
    head bytea NOT NULL,
    tail_start bigint NOT NULL,
    tail bytea NOT NULL,
    size bigint NOT NULL
);
CREATE TABLE {s}.message (      -- that is not delivered yet
    node text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    time double precision NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (node, message_id, target)
);
CREATE TABLE {s}.job_order (    -- what a node asks another one to do
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token text NOT NULL UNIQUE, -- of who asked: the question may be repeated
    node text COLLATE "C" NOT NULL,
    verb text NOT NULL,
    job text NOT NULL,
    run_id text NOT NULL,
    who text NOT NULL,
    why text NOT NULL,
    asked double precision NOT NULL,
    sent double precision       -- the time of the first beat whose answer had it
);
CREATE INDEX job_order_node ON {s}.job_order (node);
INSERT INTO {s}.meta (version) VALUES (0);
