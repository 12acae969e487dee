-- The oldest tables that can be upgraded; a new ledger begins with them too.

CREATE TABLE samples (
    position INTEGER NOT NULL,
    id VARCHAR NOT NULL,
    format VARCHAR NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (position),
    UNIQUE (id)
);

CREATE TABLE texts (
    id INTEGER NOT NULL,
    sample VARCHAR,
    text TEXT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE results (
    position INTEGER NOT NULL,
    mode VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    reason VARCHAR,
    accepted_rounds INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    original_tokens INTEGER NOT NULL,
    final_tokens INTEGER NOT NULL,
    contradictions INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    finished FLOAT NOT NULL,
    PRIMARY KEY (position, mode)
);

CREATE INDEX results_not_done ON results (reason, status) WHERE status <> 'done';

CREATE INDEX results_at_a_glance ON results (mode, status, accepted_rounds, contradictions, original_tokens, final_tokens, position, exchanges);

CREATE TABLE calls (
    number INTEGER NOT NULL,
    sample VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    exchange INTEGER NOT NULL,
    round INTEGER NOT NULL,
    step VARCHAR NOT NULL,
    asked INTEGER NOT NULL,
    request VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    messages TEXT NOT NULL,
    reply TEXT NOT NULL,
    finish_reason VARCHAR,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cached_tokens INTEGER,
    started FLOAT NOT NULL,
    latency FLOAT NOT NULL,
    attempts INTEGER NOT NULL,
    failure TEXT,
    code VARCHAR,
    PRIMARY KEY (number)
);

CREATE INDEX calls_of_sample ON calls (sample);

CREATE VIEW prompts AS
    SELECT calls.number, calls.sample, calls.step, json_extract(message.value, '$.role') AS role,
        (SELECT group_concat(coalesce(texts.text, piece.value), '')
            FROM json_each(message.value, '$.content') AS piece
            LEFT JOIN texts ON substr(piece.value, 1, 1) = char(1)
                AND texts.id = CAST(substr(piece.value, 2) AS INTEGER)) AS content
    FROM calls, json_each(calls.messages) AS message;

CREATE VIEW replies AS
    SELECT calls.number, calls.sample, calls.step, coalesce(texts.text, calls.reply) AS reply
    FROM calls LEFT JOIN texts ON substr(calls.reply, 1, 1) = char(1)
        AND texts.id = CAST(substr(calls.reply, 2) AS INTEGER);
