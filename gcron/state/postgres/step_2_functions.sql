-- The functions: one statement each for whoever calls them, so that what one does is done as a whole, or not, and no
-- client that stops in between holds a lock.
--
-- All lock rows in the same order, so that none waits for another that waits for it: incarnation, turns by name,
-- claims, runs, what belongs to the node, meta, jobs by name. No lock is waited for longer than a second. Time is the
-- database's, unless a parameter has it. Times are seconds of UTC. {s} is the schema, quoted.

CREATE OR REPLACE FUNCTION {s}.now() RETURNS double precision LANGUAGE sql VOLATILE AS $$
    SELECT extract(epoch FROM clock_timestamp())::double precision
$$;

-- Whatever is usual in this database: what is confirmed must not be gone after a crash.
CREATE OR REPLACE FUNCTION {s}.be_durable() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

-- Claim fires that nodes share, no two of them the same. The answer has, for each one: answer, fence, node, wait.
-- LATERAL (… LIMIT 1) makes it look each row up in an index, whatever is known of the size of tables.
CREATE OR REPLACE FUNCTION {s}.claim(me bigint, fires jsonb) RETURNS jsonb
LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now double precision;
    lease double precision;
    answers jsonb;
    granted bigint;
    written bigint;
BEGIN
    PERFORM {s}.be_durable();
    -- Until this is committed, nobody gives this incarnation up.
    SELECT i.lease_until INTO lease FROM {s}.incarnation i WHERE i.number = me AND NOT i.given_up FOR SHARE;
    INSERT INTO {s}.turn (job)
        SELECT DISTINCT f.job COLLATE "C" FROM jsonb_to_recordset(fires) AS f(job text)
        WHERE (SELECT true FROM {s}.turn t WHERE t.job = f.job COLLATE "C") IS NULL ORDER BY 1
        ON CONFLICT DO NOTHING;
    PERFORM 1 FROM (
            SELECT DISTINCT f.job COLLATE "C" AS job FROM jsonb_to_recordset(fires) AS f(job text) ORDER BY 1
        ) f, LATERAL (SELECT true FROM {s}.turn t WHERE t.job = f.job FOR UPDATE) t;
    now := {s}.now();
    IF lease IS NULL OR lease <= now THEN
        RAISE EXCEPTION 'the lease of this node has run out' USING ERRCODE = 'GC001';
    END IF;
    WITH judged AS MATERIALIZED (
        SELECT f.place, f.job COLLATE "C" AS job, f.fire_at, f.trigger COLLATE "C" AS trigger, f.deadline,
            f.may_overlap, f.retry_lost, c.fence AS known, c.due, coalesce(owner.node, busy.node) AS node,
            CASE
                WHEN c.incarnation = me AND c.state IN ('claimed', 'over') AND c.run_id IS NULL THEN 'as before'
                -- A service that this node has, and asks for: its copy has ended, with its gcron or with the lease.
                WHEN c.incarnation = me AND c.state = 'claimed' AND f.fire_at = 0 AND f.trigger = '' THEN 'start'
                WHEN c.state <> 'offered' THEN 'taken'
                WHEN c.state IS NULL AND f.trigger = '' AND f.fire_at <> 0 AND f.fire_at <= t.floor THEN 'taken'
                WHEN f.is_missed THEN 'missed'
                WHEN f.fire_at <> 0 AND f.trigger = '' AND f.fire_at > now + 1 THEN 'early'
                WHEN f.fire_at <> 0 AND greatest(f.fire_at, c.due) < now - f.deadline THEN 'late'
                WHEN busy.node IS NOT NULL THEN 'busy'
                ELSE 'start'
            END AS verdict, c.answer AS answer_before, coalesce(c.busy_node, '') AS node_before
        FROM jsonb_to_recordset(fires) AS f(place integer, job text, fire_at bigint, trigger text,
            deadline double precision, may_overlap boolean, retry_lost boolean, is_missed boolean)
        LEFT JOIN LATERAL (SELECT t.floor FROM {s}.turn t WHERE t.job = f.job COLLATE "C" LIMIT 1) t ON true
        LEFT JOIN LATERAL (
            SELECT c.* FROM {s}.claim c
            WHERE c.job = f.job COLLATE "C" AND c.fire_at = f.fire_at AND c.trigger = f.trigger COLLATE "C" LIMIT 1
        ) c ON true
        LEFT JOIN LATERAL (SELECT i.node FROM {s}.incarnation i WHERE i.number = c.incarnation LIMIT 1) owner
            ON c.state <> 'offered'
        LEFT JOIN LATERAL (
            -- Until it is given up, also after its lease: a gcron that starts again may take it over.
            SELECT o.node FROM {s}.claim b JOIN {s}.incarnation o ON o.number = b.incarnation
            WHERE b.job = f.job COLLATE "C" AND b.state = 'claimed' AND b.incarnation <> me AND NOT o.given_up
                AND o.ended IS NULL
            LIMIT 1
        ) busy ON NOT f.may_overlap
    ), decided AS MATERIALIZED (
        SELECT j.*, CASE
            WHEN j.verdict IN ('start', 'busy', 'missed') THEN nextval('{s}.fence')
            WHEN j.verdict = 'as before' THEN j.known
            ELSE 0 END AS fence
        FROM judged j ORDER BY j.place
    ), inserted AS (
        INSERT INTO {s}.claim AS c (job, fire_at, trigger, fence, incarnation, state, answer, busy_node, claimed_at,
            due, over_at, deadline, may_overlap, retry_lost)
        SELECT d.job, d.fire_at, d.trigger, d.fence, me,
            CASE d.verdict WHEN 'start' THEN 'claimed' ELSE 'over' END,
            CASE d.verdict WHEN 'busy' THEN 'busy' ELSE 'start' END,
            CASE d.verdict WHEN 'busy' THEN d.node END, now, coalesce(d.due, d.fire_at),
            CASE WHEN d.verdict <> 'start' THEN now END, d.deadline, d.may_overlap, d.retry_lost
        FROM decided d WHERE d.verdict IN ('start', 'busy', 'missed')
        ON CONFLICT (job, fire_at, trigger) DO UPDATE SET fence = excluded.fence, incarnation = excluded.incarnation,
            state = excluded.state, answer = excluded.answer, busy_node = excluded.busy_node, run_id = NULL,
            claimed_at = excluded.claimed_at,
            over_at = excluded.over_at, deadline = excluded.deadline, may_overlap = excluded.may_overlap,
            retry_lost = excluded.retry_lost
        WHERE c.state = 'offered' OR (c.state = 'claimed' AND c.incarnation = me AND c.fire_at = 0)
        RETURNING 1
    )
    SELECT jsonb_agg(jsonb_build_array(
            CASE d.verdict WHEN 'missed' THEN 'start' WHEN 'as before' THEN d.answer_before ELSE d.verdict END,
            d.fence,
            CASE WHEN d.verdict IN ('taken', 'busy') THEN coalesce(d.node, '')
                WHEN d.verdict = 'as before' THEN d.node_before ELSE '' END,
            CASE WHEN d.verdict = 'early' THEN d.fire_at - 1 - now ELSE 0 END
        ) ORDER BY d.place),
        count(*) FILTER (WHERE d.verdict IN ('start', 'busy', 'missed')), (SELECT count(*) FROM inserted)
    INTO answers, granted, written FROM decided d;
    -- What this node was granted, and did not begin, is over when it says that it was missed.
    UPDATE {s}.claim c SET state = 'over', over_at = now
        FROM jsonb_to_recordset(fires) AS f(job text, fire_at bigint, trigger text, is_missed boolean)
        WHERE f.is_missed AND c.job = f.job COLLATE "C" AND c.fire_at = f.fire_at AND c.trigger = f.trigger COLLATE "C"
            AND c.incarnation = me AND c.state = 'claimed' AND c.run_id IS NULL;
    IF granted <> written THEN
        -- Somebody has changed a claim without the turn of its job. Nothing is granted then.
        RAISE EXCEPTION 'claims have changed meanwhile' USING ERRCODE = '40001';
    END IF;
    RETURN answers;
END $$;

CREATE OR REPLACE FUNCTION {s}.release(me bigint, fences bigint[]) RETURNS void LANGUAGE plpgsql SET lock_timeout =
    '1s' SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {s}.be_durable();
    UPDATE {s}.claim SET state = 'offered', claimed_at = {s}.now()
        WHERE fence = ANY (fences) AND incarnation = me AND state = 'claimed' AND (run_id IS NULL OR fire_at = 0);
END $$;

-- Keep a node's statements about its own jobs apart, until the end of this one.
CREATE OR REPLACE FUNCTION {s}.take_own(node text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('{s} own ' || node, 0))
$$;

-- Of fires that each node has for itself: of a job, one is claimed if it is later than the latest, or waits.
CREATE OR REPLACE FUNCTION {s}.claim_own(node text, fires jsonb, at double precision) RETURNS jsonb
LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fire record;
    latest bigint;
    waiting boolean;
    answers jsonb := '[]';
BEGIN
    PERFORM {s}.be_durable();
    PERFORM {s}.take_own(node);
    INSERT INTO {s}.definition AS d (node, name, since)
        SELECT DISTINCT claim_own.node, f.job COLLATE "C", at FROM jsonb_to_recordset(fires) AS f(job text) ORDER BY 2
        ON CONFLICT DO NOTHING;
    FOR fire IN
        SELECT * FROM jsonb_to_recordset(fires) AS f(place integer, job text, fire_at bigint, waits boolean,
            has_run boolean) ORDER BY place
    LOOP
        SELECT d.claimed INTO latest FROM {s}.definition d
            WHERE d.node = claim_own.node AND d.name = fire.job COLLATE "C";
        SELECT coalesce(bool_or(o.waits), false) INTO waiting FROM {s}.own_claim o
            WHERE o.node = claim_own.node AND o.job = fire.job COLLATE "C" AND o.fire_at = fire.fire_at;
        IF latest IS NULL OR fire.fire_at > latest THEN
            UPDATE {s}.definition d SET claimed = fire.fire_at
                WHERE d.node = claim_own.node AND d.name = fire.job COLLATE "C";
        ELSIF NOT waiting THEN
            answers := answers || 'false'::jsonb;
            CONTINUE;
        END IF;
        IF NOT fire.has_run THEN
            INSERT INTO {s}.own_claim AS o (node, job, fire_at, waits)
                VALUES (claim_own.node, fire.job, fire.fire_at, fire.waits)
                ON CONFLICT ON CONSTRAINT own_claim_pkey DO UPDATE SET waits = excluded.waits;
        END IF;
        answers := answers || 'true'::jsonb;
    END LOOP;
    INSERT INTO {s}.job (name)
        SELECT DISTINCT f.job COLLATE "C" FROM jsonb_to_recordset(fires) AS f(job text) ORDER BY 1
        ON CONFLICT DO NOTHING;
    RETURN answers;
END $$;

CREATE OR REPLACE FUNCTION {s}.forget_own(node text, jobs text[]) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {s}.take_own(node);
    UPDATE {s}.definition d SET claimed = NULL WHERE d.node = forget_own.node AND d.name = ANY (jobs);
    DELETE FROM {s}.own_claim o WHERE o.node = forget_own.node AND o.job = ANY (jobs);
END $$;

-- Add to the sums of jobs what runs bring: rows with the columns of `job`, and `place`.
CREATE OR REPLACE FUNCTION {s}.add_to_jobs(rows jsonb, now double precision) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO {s}.job AS j (name, last_fire, success_noted, runs, succeeded, failed, skipped, missed, recent, signs,
        last_finished, last_success, last_duration, seconds, longest)
    SELECT r.name COLLATE "C", max(r.last_fire), CASE WHEN max(r.last_success) IS NOT NULL THEN now END,
        coalesce(sum(r.runs), 0), coalesce(sum(r.succeeded), 0), coalesce(sum(r.failed), 0),
        coalesce(sum(r.skipped), 0), coalesce(sum(r.missed), 0),
        right(coalesce(string_agg(r.recent, '' ORDER BY r.place), ''), 30),
        right(coalesce(string_agg(r.signs, '' ORDER BY r.place), ''), 30),
        (array_agg(r.last_finished ORDER BY r.place DESC) FILTER (WHERE r.last_finished IS NOT NULL))[1],
        (array_agg(r.last_success ORDER BY r.place DESC) FILTER (WHERE r.last_success IS NOT NULL))[1],
        (array_agg(r.last_duration ORDER BY r.place DESC) FILTER (WHERE r.last_duration IS NOT NULL))[1],
        coalesce(sum(r.seconds), 0), max(r.longest)
    FROM jsonb_to_recordset(rows) AS r(place bigint, name text, last_fire bigint, runs bigint, succeeded bigint,
        failed bigint, skipped bigint, missed bigint, recent text, signs text, last_finished double precision,
        last_success double precision, last_duration double precision, seconds double precision,
        longest double precision)
    GROUP BY 1 ORDER BY 1
    ON CONFLICT (name) DO UPDATE SET
        last_fire = greatest(j.last_fire, excluded.last_fire),
        success_noted = coalesce(excluded.success_noted, j.success_noted),
        runs = j.runs + excluded.runs, succeeded = j.succeeded + excluded.succeeded,
        failed = j.failed + excluded.failed, skipped = j.skipped + excluded.skipped,
        missed = j.missed + excluded.missed,
        recent = right(j.recent || excluded.recent, 30), signs = right(j.signs || excluded.signs, 30),
        last_finished = coalesce(excluded.last_finished, j.last_finished),
        last_success = coalesce(excluded.last_success, j.last_success),
        last_duration = coalesce(excluded.last_duration, j.last_duration),
        seconds = j.seconds + excluded.seconds, longest = greatest(j.longest, excluded.longest)
$$;

-- Drop the pauses of jobs that no node has any more, and of those that were resumed; true if there were any.
CREATE OR REPLACE FUNCTION {s}.drop_pauses(resumed jsonb, removed jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM {s}.pause p
        WHERE p.job IN (SELECT jsonb_array_elements_text(resumed) COLLATE "C")
        OR (p.job IN (SELECT jsonb_array_elements_text(removed) COLLATE "C") AND NOT EXISTS (
            SELECT 1 FROM {s}.definition d WHERE d.name = p.job AND d.removed IS NULL));
    RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION {s}.define(node text, jobs jsonb, at double precision) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO {s}.definition AS d (node, name, schedule, keep_runs, keep_for, since)
    SELECT define.node, f.name COLLATE "C", f.schedule, f.keep_runs, f.keep_for, at
    FROM jsonb_to_recordset(jobs) AS f(name text, schedule text, keep_runs bigint, keep_for double precision) ORDER BY 2
    ON CONFLICT ON CONSTRAINT definition_pkey DO UPDATE SET
        since = CASE WHEN d.schedule = excluded.schedule AND d.removed IS NULL THEN d.since ELSE excluded.since END,
        schedule = excluded.schedule, keep_runs = excluded.keep_runs, keep_for = excluded.keep_for, removed = NULL;
$$;

-- Whether other nodes may run it again: its own node has ended it, because it was about to lose its lease.
CREATE OR REPLACE FUNCTION {s}.is_offered(reason_code text, retry_lost boolean) RETURNS boolean LANGUAGE sql IMMUTABLE
AS $$ SELECT reason_code = 'lease-lost' AND retry_lost $$;

-- Write everything in a batch; but not runs whose claims were given up, and belong to others now. May be repeated.
CREATE OR REPLACE FUNCTION {s}.write(me bigint, node text, batch jsonb, at double precision) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    now double precision := {s}.now();
    allowed bigint[];
    ended text[];
    changed boolean := false;
BEGIN
    IF batch->'restarted' <> '[]' THEN
        PERFORM 1 FROM {s}.turn t
            WHERE t.job IN (SELECT r.job COLLATE "C" FROM jsonb_to_recordset(batch->'restarted') AS r(job text))
            ORDER BY t.job FOR UPDATE;
        UPDATE {s}.turn t SET restarted = r.at
            FROM jsonb_to_recordset(batch->'restarted') AS r(job text, at double precision)
            WHERE t.job = r.job COLLATE "C";
    END IF;
    -- Claims: they have begun, or are over.
    WITH touched AS (
        UPDATE {s}.claim c SET
            run_id = r.run_id,
            state = CASE WHEN r.outcome = '' OR c.fire_at = 0 THEN c.state
                WHEN {s}.is_offered(r.reason_code, c.retry_lost) THEN 'offered' ELSE 'over' END,
            over_at = CASE WHEN r.outcome <> '' AND c.fire_at <> 0 AND NOT {s}.is_offered(r.reason_code, c.retry_lost)
                THEN coalesce(c.over_at, now) END,
            claimed_at = CASE WHEN r.outcome <> '' AND {s}.is_offered(r.reason_code, c.retry_lost) THEN now
                ELSE c.claimed_at END,
            -- However long it has run: the time in which it may start again begins now.
            due = CASE WHEN r.outcome <> '' AND c.fire_at <> 0 AND {s}.is_offered(r.reason_code, c.retry_lost) THEN now
                ELSE c.due END
        FROM jsonb_to_recordset(batch->'runs') AS r(run_id text, outcome text, reason_code text, fence bigint)
        WHERE r.fence > 0 AND c.fence = r.fence AND c.state IN ('claimed', 'over')
        RETURNING c.fence
    )
    SELECT array_agg(fence) INTO allowed FROM touched;
    -- Of a run without a fence, which an earlier gcron claimed and did not begin.
    UPDATE {s}.claim c SET state = 'over', over_at = now
        FROM jsonb_to_recordset(batch->'runs') AS r(job text, fire_at bigint, last_fire_at bigint, outcome text,
            fence bigint)
        WHERE r.fence = 0 AND r.outcome <> '' AND c.job = r.job COLLATE "C"
            AND c.fire_at BETWEEN r.fire_at AND coalesce(r.last_fire_at, r.fire_at) AND c.trigger = ''
            AND c.incarnation = me AND c.state = 'claimed' AND c.run_id IS NULL;
    -- Runs. None ends twice, also when this is repeated.
    WITH given AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(batch->'runs') AS r(run_id text, job text, created double precision,
            outcome text, reason_code text, reason text, fire_at bigint, last_fire_at bigint, fires bigint,
            started double precision, finished double precision, attempts bigint, exit_code bigint,
            duration double precision, cpu_seconds double precision, max_rss_bytes bigint, output_size bigint,
            left_behind text, pid bigint, pid_since double precision, who text, why text, node text, fence bigint)
    ), written AS (
        INSERT INTO {s}.run (run_id, job, created, outcome, reason_code, reason, fire_at, last_fire_at, fires,
            started, finished, attempts, exit_code, duration, cpu_seconds, max_rss_bytes, output_size, left_behind,
            pid, pid_since, who, why, node, fence, incarnation)
        SELECT run_id, job, created, outcome, reason_code, reason, fire_at, last_fire_at, fires, started, finished,
            attempts, exit_code, duration, cpu_seconds, max_rss_bytes, output_size, left_behind, pid, pid_since, who,
            why, coalesce(nullif(g.node, ''), write.node), fence, me
        FROM given g WHERE g.fence = 0 OR g.fence = ANY (allowed)
            OR EXISTS (SELECT 1 FROM {s}.run k WHERE k.run_id = g.run_id COLLATE "C")
        ON CONFLICT (run_id) DO UPDATE SET
            outcome = excluded.outcome, reason_code = excluded.reason_code, reason = excluded.reason,
            last_fire_at = excluded.last_fire_at, fires = excluded.fires, finished = excluded.finished,
            attempts = excluded.attempts, exit_code = excluded.exit_code, duration = excluded.duration,
            cpu_seconds = excluded.cpu_seconds, max_rss_bytes = excluded.max_rss_bytes,
            output_size = excluded.output_size, left_behind = excluded.left_behind, who = excluded.who,
            why = excluded.why, node = excluded.node, fence = excluded.fence,
            started = coalesce(excluded.started, run.started), pid = coalesce(excluded.pid, run.pid),
            pid_since = coalesce(excluded.pid_since, run.pid_since)
        WHERE run.outcome = ''
        RETURNING run_id, outcome
    )
    SELECT array_agg(run_id) FILTER (WHERE outcome <> '') INTO ended FROM written;
    -- What this node knows of jobs. Its claims for itself, on another connection, touch the same rows.
    PERFORM {s}.take_own(node);
    DELETE FROM {s}.own_claim o
        USING jsonb_to_recordset(batch->'runs') AS r(job text, fire_at bigint, last_fire_at bigint)
        WHERE o.node = write.node AND o.job = r.job COLLATE "C"
            AND o.fire_at BETWEEN r.fire_at AND coalesce(r.last_fire_at, r.fire_at);
    PERFORM {s}.define(node, batch->'jobs', at);
    UPDATE {s}.definition d SET removed = at, claimed = NULL, chain = NULL
        WHERE d.node = write.node AND d.name IN (SELECT jsonb_array_elements_text(batch->'removed') COLLATE "C");
    DELETE FROM {s}.own_claim o
        WHERE o.node = write.node AND o.job IN (SELECT jsonb_array_elements_text(batch->'removed') COLLATE "C");
    UPDATE {s}.definition d SET since = r.at, last_fire = NULL
        FROM jsonb_to_recordset(batch->'restarted') AS r(job text, at double precision)
        WHERE d.node = write.node AND d.name = r.job COLLATE "C";
    INSERT INTO {s}.definition AS d (node, name, since, chain)
        SELECT write.node, c.job, at, c.chain FROM jsonb_to_recordset(batch->'chains') AS c(job text, chain text)
        ON CONFLICT ON CONSTRAINT definition_pkey DO UPDATE SET chain = excluded.chain;
    INSERT INTO {s}.definition AS d (node, name, since, last_fire)
        SELECT write.node, h.job, at, h.fire_at FROM jsonb_to_recordset(batch->'handled') AS h(job text, fire_at bigint)
        ON CONFLICT ON CONSTRAINT definition_pkey DO UPDATE SET last_fire = greatest(d.last_fire, excluded.last_fire);
    UPDATE {s}.definition d SET last_success = r.last_success
        FROM (SELECT DISTINCT ON (r.name) r.* FROM jsonb_to_recordset(batch->'sums')
            AS r(place integer, run_id text, name text, last_success double precision)
            WHERE r.last_success IS NOT NULL AND r.run_id = ANY (ended) ORDER BY r.name, r.place DESC) r
        WHERE d.node = write.node AND d.name = r.name COLLATE "C";
    -- What all nodes know of jobs. `meta` is one row: the pauses of one node come after those of another.
    IF batch->'pauses' <> '[]' OR batch->'resumed' <> '[]' OR batch->'removed' <> '[]' THEN
        PERFORM 1 FROM {s}.meta FOR UPDATE;
        -- A node knows what is paused there: else the pause of a job that is in no crontab would stay.
        INSERT INTO {s}.definition (node, name, since)
            SELECT write.node, r.job, at FROM jsonb_to_recordset(batch->'pauses') AS r(job text)
            ON CONFLICT DO NOTHING;
        INSERT INTO {s}.pause AS p (job, since, until, who, why)
            SELECT r.job, r.since, r.until, r.who, r.why FROM jsonb_to_recordset(batch->'pauses')
                AS r(job text, since double precision, until double precision, who text, why text)
            ON CONFLICT (job) DO UPDATE SET since = excluded.since, until = excluded.until, who = excluded.who,
                why = excluded.why
            WHERE (p.since, p.until, p.who, p.why)
                IS DISTINCT FROM (excluded.since, excluded.until, excluded.who, excluded.why);
        changed := FOUND;
        changed := {s}.drop_pauses(batch->'resumed', batch->'removed') OR changed;
        IF changed THEN
            UPDATE {s}.meta SET pauses_version = pauses_version + 1;
        END IF;
    END IF;
    INSERT INTO {s}.message AS m (node, message_id, target, time, text)
        SELECT write.node, r.message_id, r.target, r.time, r.text FROM jsonb_to_recordset(batch->'messages')
            AS r(message_id text, target text, time double precision, text text)
        ON CONFLICT ON CONSTRAINT message_pkey DO UPDATE SET time = excluded.time, text = excluded.text;
    DELETE FROM {s}.message m
        USING jsonb_to_recordset(batch->'dropped') AS r(message_id text, target text)
        WHERE m.node = write.node AND m.message_id = r.message_id COLLATE "C" AND m.target = r.target COLLATE "C";
    IF batch->'restarted' <> '[]' THEN
        PERFORM 1 FROM {s}.job j
            WHERE j.name IN (SELECT r.name COLLATE "C" FROM jsonb_to_recordset(batch->'sums') AS r(name text))
            ORDER BY j.name FOR UPDATE;
        UPDATE {s}.job j SET last_fire = NULL
            WHERE j.name IN (SELECT r.job COLLATE "C" FROM jsonb_to_recordset(batch->'restarted') AS r(job text));
    END IF;
    PERFORM {s}.add_to_jobs((SELECT coalesce(jsonb_agg(r), '[]') FROM jsonb_array_elements(batch->'sums') AS r
        WHERE r->>'run_id' IS NULL OR r->>'run_id' = ANY (ended)), now);
END $$;

-- Of the same directory of the same machine: whoever has locked it shows that the earlier holder is dead.
CREATE OR REPLACE FUNCTION {s}.is_same_place(i {s}.incarnation, me jsonb) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.host = me->>'host' AND i.place = me->>'place' AND ((i.boot_id <> '' AND i.boot_id = me->>'boot_id')
        OR (i.machine <> '' AND i.machine = me->>'machine'))
$$;

-- Begin an incarnation of a node. `takes_over`: at a start; what an earlier gcron in the same place had is this one's.
-- The answer has its number, or the other holder of its name.
CREATE OR REPLACE FUNCTION {s}.enter(me jsonb, lease double precision, since double precision, takes_over boolean)
RETURNS jsonb LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    t double precision;
    other {s}.incarnation;
    entered bigint;
BEGIN
    PERFORM {s}.be_durable();
    PERFORM pg_advisory_xact_lock(hashtextextended('{s} node ' || (me->>'node'), 0));
    FOR other IN
        SELECT * FROM {s}.incarnation i WHERE i.node = me->>'node' AND NOT i.given_up ORDER BY i.number FOR UPDATE
    LOOP
        t := {s}.now();
        -- What began in this process, but whose answer was lost, is no other.
        IF other.ended IS NULL AND other.lease_until > t
            AND NOT ((takes_over OR other.started = since) AND {s}.is_same_place(other, me))
        THEN
            RETURN jsonb_build_object('host', other.host, 'pid', other.pid, 'started', other.started,
                'seconds', other.lease_until - t);
        END IF;
    END LOOP;
    t := {s}.now();
    INSERT INTO {s}.incarnation (node, machine, boot_id, host, place, pid, labels, version, started, last_beat,
            lease_until)
        VALUES (me->>'node', me->>'machine', me->>'boot_id', me->>'host', me->>'place', (me->>'pid')::integer,
            me->'labels', me->>'version', coalesce(since, t), t, t + lease)
        RETURNING number INTO entered;
    IF takes_over OR since IS NOT NULL THEN
        WITH taken AS (
            UPDATE {s}.incarnation i SET given_up = true
            WHERE i.node = me->>'node' AND NOT i.given_up AND i.number <> entered AND {s}.is_same_place(i, me)
                AND (takes_over OR i.started = since)
            RETURNING i.number
        )
        UPDATE {s}.claim c SET incarnation = entered FROM taken
        WHERE c.incarnation = taken.number AND c.state = 'claimed';
    END IF;
    RETURN jsonb_build_object('number', entered, 'started', coalesce(since, t));
END $$;

-- Give up what incarnations had whose lease ran out a second ago; `ending` is how their runs have ended.
-- Three statements: each sees what was committed while the one before waited for a lock.
CREATE OR REPLACE FUNCTION {s}.give_up(me bigint, ending jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    now double precision := {s}.now();
    gone bigint[];
    freed jsonb;
    sums jsonb;
BEGIN
    WITH late AS MATERIALIZED (
        -- One that is about to claim, or to renew its lease after all, is left for the next time.
        SELECT number FROM {s}.incarnation
        WHERE NOT given_up AND number <> me AND lease_until < now - 1 ORDER BY number FOR UPDATE SKIP LOCKED
    ), marked AS (
        UPDATE {s}.incarnation i SET given_up = true FROM late WHERE i.number = late.number RETURNING i.number
    )
    SELECT array_agg(number) INTO gone FROM marked;
    IF gone IS NULL THEN
        RETURN;
    END IF;
    WITH changed AS (
        UPDATE {s}.claim c SET
            state = CASE WHEN c.retry_lost OR c.fire_at = 0 THEN 'offered' ELSE 'lost' END,
            over_at = CASE WHEN c.retry_lost OR c.fire_at = 0 THEN NULL ELSE now END,
            due = CASE WHEN c.fire_at = 0 THEN 0 ELSE now END, claimed_at = now
        FROM {s}.incarnation i WHERE c.incarnation = ANY (gone) AND c.state = 'claimed' AND i.number = c.incarnation
        RETURNING c.job, c.fire_at, c.trigger, c.fence, c.run_id, c.incarnation, i.node
    )
    SELECT coalesce(jsonb_agg(to_jsonb(changed)), '[]') INTO freed FROM changed;
    UPDATE {s}.run SET reporter = me, reported_at = now WHERE reporter = ANY (gone);
    WITH f AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(freed) AS f(job text, fire_at bigint, trigger text, fence bigint,
            run_id text, incarnation bigint, node text)
    ), ended AS (
        UPDATE {s}.run r SET outcome = ending->>'outcome', reason_code = ending->>'reason_code',
            reason = format(ending->>'reason', f.node), finished = now, reporter = me, reported_at = now
        FROM f WHERE r.fence = f.fence AND r.outcome = ''
        RETURNING r.job
    ), unknown AS (
        -- Nobody knows whether these have begun.
        INSERT INTO {s}.run (run_id, job, created, outcome, reason_code, reason, fire_at, fires, finished, attempts,
            output_size, left_behind, who, why, node, fence, incarnation, reporter, reported_at)
        SELECT CASE f.trigger WHEN '' THEN substr(md5(f.fence || ' ' || now), 1, 16) ELSE f.trigger END, f.job, now,
            ending->>'outcome', ending->>'reason_code', format(ending->>'reason', f.node),
            CASE f.trigger WHEN '' THEN f.fire_at END, 1, now, 1, 0, '', '', '', f.node, f.fence, f.incarnation, me, now
        FROM f WHERE f.run_id IS NULL AND f.fire_at <> 0
        ON CONFLICT (run_id) DO NOTHING
        RETURNING job
    )
    SELECT jsonb_agg(ending->'sums' || jsonb_build_object('name', l.job, 'place', 0, 'last_finished', now))
    INTO sums FROM (SELECT job FROM ended UNION ALL SELECT job FROM unknown) l;
    IF sums IS NOT NULL THEN
        PERFORM {s}.add_to_jobs(sums, now);
    END IF;
END $$;

-- Renew the lease of a node, give up what others have lost, and answer what is new; see `gcron.scheduler.cluster.Beat`.
CREATE OR REPLACE FUNCTION {s}.beat(me bigint, self jsonb, lease double precision, presence jsonb, ending jsonb)
RETURNS jsonb LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    now double precision;
    entered jsonb;
    holds boolean := true;
    started double precision;
    version bigint;
    seen double precision := (presence->>'seen_success')::double precision;
    answer jsonb;
BEGIN
    UPDATE {s}.incarnation i SET lease_until = {s}.now() + lease, last_beat = {s}.now(),
        jobs = (presence->>'jobs')::integer, definitions = presence->>'definitions',
        pid = (presence->>'pid')::integer, skew = (presence->>'skew')::double precision,
        won = (presence->>'won')::bigint, lost = (presence->>'lost')::bigint
        WHERE i.number = me AND NOT i.given_up AND i.ended IS NULL;
    IF NOT FOUND THEN
        SELECT i.started INTO started FROM {s}.incarnation i WHERE i.number = me;
        entered := {s}.enter(self, lease, started, false);
        IF entered->>'number' IS NULL THEN
            RETURN jsonb_build_object('holder', entered);
        END IF;
        holds := false;
        -- What it was to report is reported by its successor.
        UPDATE {s}.run SET reporter = (entered->>'number')::bigint, reported_at = {s}.now() WHERE reporter = me;
        me := (entered->>'number')::bigint;
    END IF;
    -- What the last beat brought has arrived.
    UPDATE {s}.run SET reporter = NULL, reported_at = NULL WHERE reporter = me AND reported_at <= seen;
    DELETE FROM {s}.job_order o WHERE o.node = self->>'node' AND o.sent <= seen;
    UPDATE {s}.job_order o SET sent = {s}.now() WHERE o.node = self->>'node' AND o.sent IS NULL;
    PERFORM {s}.give_up(me, ending);
    now := {s}.now();
    SELECT pauses_version INTO version FROM {s}.meta;
    answer := jsonb_build_object(
        'number', me, 'now', now, 'holds', holds,
        'lost', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.number), '[]') FROM (
            SELECT * FROM {s}.run WHERE reporter = me ORDER BY number LIMIT 1000) r),
        'offers', (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.claimed_at), '[]') FROM (
            SELECT job, fire_at, trigger, deadline, may_overlap, retry_lost, claimed_at FROM {s}.claim
            WHERE state = 'offered' ORDER BY claimed_at LIMIT 1000) c),
        'pauses_version', version,
        'orders', (SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY o.number), '[]') FROM {s}.job_order o
            WHERE o.node = self->>'node'),
        -- Those that were committed late, too: a statement takes two seconds at most.
        'successes', (SELECT coalesce(jsonb_object_agg(j.name, j.last_success), '{}') FROM {s}.job j
            WHERE j.success_noted > seen - 3),
        'nodes', (SELECT coalesce(jsonb_agg(to_jsonb(n) ORDER BY n.node), '[]') FROM (
            SELECT DISTINCT ON (i.node) i.*, NOT i.given_up AND i.ended IS NULL AND i.lease_until > now AS is_up
            FROM {s}.incarnation i WHERE i.last_beat > now - 86400 ORDER BY i.node, i.number DESC) n));
    IF version <> (presence->>'seen_pauses')::bigint THEN
        answer := answer || jsonb_build_object('pauses',
            (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM {s}.pause p));
    END IF;
    RETURN answer;
END $$;

-- The end of a gcron, in order: its name is free, and what it may have left is given up by others at once.
CREATE OR REPLACE FUNCTION {s}.leave(me bigint) RETURNS void
LANGUAGE sql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
    UPDATE {s}.incarnation SET ended = {s}.now(), lease_until = least(lease_until, {s}.now())
    WHERE number = me AND ended IS NULL
$$;

-- Take the turn for a round through all jobs: one node each hour.
CREATE OR REPLACE FUNCTION {s}.take_round(pause double precision) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE {s}.meta SET next_round = {s}.now() + pause WHERE next_round <= {s}.now();
    RETURN FOUND;
END $$;

-- Delete what need not be kept of these jobs, at most so many runs of each. Returns the ids of those that are gone;
-- null while another node does such a thing.
CREATE OR REPLACE FUNCTION {s}.prune(jobs jsonb, keep_runs bigint, keep_for double precision, at double precision,
    failures jsonb, on_purpose jsonb, kept_failures bigint, most bigint) RETURNS jsonb
LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    one text;
    runs bigint;
    oldest double precision;
    surplus record;
    ids text[];
    gone text[] := ARRAY[]::text[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('{s} upkeep', 0)) THEN
        RETURN NULL;
    END IF;
    FOR one IN SELECT jsonb_array_elements_text(jobs) LOOP
        SELECT d.keep_runs, at - d.keep_for INTO runs, oldest FROM {s}.definition d
            WHERE d.name = one COLLATE "C" AND d.keep_runs IS NOT NULL
            ORDER BY d.removed IS NOT NULL, d.keep_runs DESC LIMIT 1;
        IF NOT FOUND THEN
            runs := prune.keep_runs;
            oldest := at - prune.keep_for;
        END IF;
        SELECT r.created, r.number INTO surplus FROM {s}.run r WHERE r.job = one COLLATE "C" AND r.outcome <> ''
            ORDER BY r.created DESC, r.number DESC LIMIT 1 OFFSET runs;
        WITH deleted AS (
            DELETE FROM {s}.run WHERE number IN (
                SELECT r.number FROM {s}.run r
                WHERE r.job = one COLLATE "C" AND r.outcome <> ''
                    AND (r.created < oldest OR (r.created, r.number) <= (surplus.created, surplus.number))
                    AND r.number NOT IN (
                        SELECT f.number FROM {s}.run f WHERE f.job = one COLLATE "C" AND failures ? f.outcome
                            AND NOT (f.outcome = 'killed' AND on_purpose ? f.reason_code)
                        ORDER BY f.created DESC, f.number DESC LIMIT kept_failures)
                ORDER BY r.created, r.number LIMIT most)
            RETURNING run_id
        )
        SELECT array_agg(run_id) INTO ids FROM deleted;
        gone := gone || coalesce(ids, ARRAY[]::text[]);
    END LOOP;
    DELETE FROM {s}.output o WHERE o.run_id = ANY (gone);
    RETURN to_jsonb(gone);
END $$;

-- Delete what is of no use any more. Claims stay for a day after they are over; then `floor` takes their place.
-- What a node that was not heard of for a day had begun for itself is lost.
CREATE OR REPLACE FUNCTION {s}.sweep(at double precision, keep_for double precision, ending jsonb) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '1s' SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old double precision := {s}.now() - 86400;
    sums jsonb;
BEGIN
    PERFORM 1 FROM {s}.turn t WHERE t.job IN (SELECT c.job FROM {s}.claim c
            WHERE c.over_at < old OR (c.state = 'offered' AND c.claimed_at < old))
        ORDER BY t.job FOR UPDATE;
    WITH gone AS (
        DELETE FROM {s}.claim c WHERE c.over_at < old RETURNING c.job, c.fire_at, c.trigger
    )
    UPDATE {s}.turn t SET "floor" = greatest(t."floor", g.latest)
        FROM (SELECT gone.job, max(gone.fire_at) AS latest FROM gone WHERE gone.trigger = '' GROUP BY gone.job) g
        WHERE t.job = g.job;
    UPDATE {s}.claim c SET state = 'over', over_at = {s}.now() WHERE c.state = 'offered' AND c.claimed_at < old
        AND c.fire_at <> 0;
    WITH silent AS (
        SELECT i.node FROM {s}.incarnation i GROUP BY i.node HAVING max(i.last_beat) < old
    ), ended AS (
        UPDATE {s}.run r SET outcome = ending->>'outcome', reason_code = ending->>'reason_code',
            reason = format(ending->>'reason', r.node), finished = {s}.now()
        FROM silent WHERE r.node = silent.node AND r.outcome = '' AND r.fence = 0
        RETURNING r.job, r.number, r.finished
    )
    SELECT jsonb_agg(ending->'sums' || jsonb_build_object('name', e.job, 'place', e.number,
        'last_finished', e.finished)) INTO sums FROM ended e;
    IF sums IS NOT NULL THEN
        PERFORM {s}.add_to_jobs(sums, {s}.now());
    END IF;
    DELETE FROM {s}.definition d WHERE d.removed < at - sweep.keep_for;
    DELETE FROM {s}.job j WHERE NOT EXISTS (SELECT 1 FROM {s}.definition d WHERE d.name = j.name)
        AND NOT EXISTS (SELECT 1 FROM {s}.run r WHERE r.job = j.name);
    DELETE FROM {s}.job_order o WHERE o.asked < old;
    DELETE FROM {s}.incarnation i WHERE i.given_up AND i.last_beat < {s}.now() - 30 * 86400
        AND NOT EXISTS (SELECT 1 FROM {s}.run r WHERE r.outcome = '' AND r.incarnation = i.number)
        AND NOT EXISTS (SELECT 1 FROM {s}.claim c WHERE c.incarnation = i.number);
END $$;
