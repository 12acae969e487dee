-- Decisions of several reviewers, and what each of them changed: rows are added and never changed.

CREATE TABLE decision_history (
    number INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    mode VARCHAR NOT NULL,
    exchange INTEGER NOT NULL,
    reviewer VARCHAR NOT NULL,
    decision VARCHAR NOT NULL,
    response TEXT NOT NULL,
    seen TEXT NOT NULL,
    note TEXT NOT NULL,
    decided FLOAT NOT NULL
);

CREATE INDEX decision_history_by_place ON decision_history (position, mode, exchange, reviewer);

INSERT INTO decision_history (position, mode, exchange, reviewer, decision, response, seen, note, decided)
    SELECT position, mode, exchange, '', decision, response, seen, note, decided FROM decisions ORDER BY decided;

-- A program of an earlier version may go on writing to the table that this one no longer reads.
CREATE TRIGGER decided_earlier AFTER INSERT ON decisions BEGIN
    INSERT INTO decision_history (position, mode, exchange, reviewer, decision, response, seen, note, decided)
    VALUES (
        NEW.position, NEW.mode, NEW.exchange, '', NEW.decision, NEW.response, NEW.seen, NEW.note, NEW.decided
    )
; END;

CREATE TRIGGER withdrawn_earlier AFTER DELETE ON decisions BEGIN
    INSERT INTO decision_history (position, mode, exchange, reviewer, decision, response, seen, note, decided)
    VALUES (
        OLD.position, OLD.mode, OLD.exchange, '', 'withdrawn', '""', '', '""',
        (julianday('now') - 2440587.5) * 86400
    )
; END;

-- The current decision of each reviewer on each exchange. It stands while the result is the one that was seen;
-- the latest that stands counts; it is disputed where those that stand want different texts.
CREATE VIEW reviewed AS
SELECT one.*,
    row_number() OVER (PARTITION BY position, mode, exchange ORDER BY stands DESC, number DESC) = 1 AS counts,
    coalesce(
        min(CASE WHEN stands THEN response END) OVER exchanges_own
        <> max(CASE WHEN stands THEN response END) OVER exchanges_own, 0
    ) AS disputed
FROM (
    SELECT last.number, last.position, last.mode, last.exchange, last.reviewer, last.decision, last.response,
        last.note, last.decided, results.rowid AS result, results.exchanges,
        json_extract(done.value, '$.ending') AS ending,
        coalesce(last.seen = coalesce(texts.text, json_extract(done.value, '$.response')), 0) AS stands
    FROM decision_history AS last
        LEFT JOIN results ON results.position = last.position AND results.mode = last.mode
        LEFT JOIN json_each(results.outcome) AS done
            ON json_extract(done.value, '$.exchange') = last.exchange
        LEFT JOIN texts ON substr(json_extract(done.value, '$.response'), 1, 1) = char(1)
            AND texts.id = CAST(substr(json_extract(done.value, '$.response'), 2) AS INTEGER)
    WHERE last.decision <> 'withdrawn' AND NOT EXISTS (
        SELECT 1 FROM decision_history AS later
        WHERE later.position = last.position AND later.mode = last.mode AND later.exchange = last.exchange
            AND later.reviewer = last.reviewer AND later.number > last.number
    )
) AS one
WINDOW exchanges_own AS (PARTITION BY position, mode, exchange);

DROP VIEW decided;

CREATE VIEW decided AS SELECT * FROM reviewed WHERE counts;
