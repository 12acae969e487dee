-- What users decide.

CREATE TABLE decisions (
    position INTEGER NOT NULL,
    mode VARCHAR NOT NULL,
    exchange INTEGER NOT NULL,
    decision VARCHAR NOT NULL,
    response TEXT NOT NULL,
    seen TEXT NOT NULL,
    note TEXT NOT NULL,
    decided FLOAT NOT NULL,
    PRIMARY KEY (position, mode, exchange)
);

CREATE VIEW responses AS
SELECT results.rowid AS result, results.position, results.mode,
    json_extract(done.value, '$.exchange') AS exchange,
    json_extract(done.value, '$.ending') AS ending, results.exchanges, results.finished,
    coalesce(texts.text, json_extract(done.value, '$.response')) AS response
FROM results CROSS JOIN json_each(results.outcome) AS done
    LEFT JOIN texts ON substr(json_extract(done.value, '$.response'), 1, 1) = char(1)
        AND texts.id = CAST(substr(json_extract(done.value, '$.response'), 2) AS INTEGER);

CREATE VIEW decided AS
SELECT decisions.position, decisions.mode, decisions.exchange, decisions.decision, decisions.response,
    decisions.note, decisions.decided, responses.result, responses.exchanges, responses.ending,
    decisions.seen = responses.response AS stands
FROM decisions CROSS JOIN responses
WHERE responses.position = decisions.position AND responses.mode = decisions.mode
    AND responses.exchange = decisions.exchange;
