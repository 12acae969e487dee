-- A ledger as the program made it while its tables had version 3: one record, in mode edit.
PRAGMA user_version = 3;
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
INSERT INTO samples VALUES
    (0, 'fruit', 'alpaca', '{"id": "fruit", "instruction": "\u00012", "input": "", "output": "\u00015"}');
INSERT INTO results VALUES (0, 'edit', 'done', NULL, 1, 1, 12, 20, 0, '[{"exchange": 0, "original": "\u00015",
    "response": "\u00014", "ending": "one_pass", "accepted_rounds": 1, "rounds": [{"round": 1,
    "suggestions": null, "draft": "\u00014", "forward": null, "reversed": null, "points": null,
    "accepted": true}]}]', 1795613689.75);
INSERT INTO calls VALUES (1, 'fruit', 'edit', 0, 1, 'editor', 1, '3e2f584bed29cd2d9fdac326', 'rehearsal:',
    '[{"role": "system", "content": ["\u00011"]}, {"role": "user", "content": ["<request>", "\u00012", "\u00013"]}]',
    char(1) || '4', 'stop', 1184, 31, NULL, 1795613689.72, 0.0015, 1, NULL, NULL);
INSERT INTO texts VALUES
    (1, NULL, 'You are one of several agents who improve a data set from which models learn.'),
    (2, 'fruit', 'Name a fruit that grows on trees, and say where it comes from.'),
    (3, NULL, '</request> Write the response to the request above, and nothing else.'),
    (4, 'fruit', 'The apple: it comes from the Tian Shan, where its wild ancestors grow to this day.'),
    (5, 'fruit', 'The apple, which comes from the mountains of Central Asia.');
