-- Which results have an exchange with so many accepted rounds.

CREATE TABLE accepted_exchanges (
    mode TEXT, accepted_rounds INTEGER, position INTEGER, PRIMARY KEY (mode, accepted_rounds, position)
) WITHOUT ROWID;

INSERT INTO accepted_exchanges
    SELECT DISTINCT mode, json_extract(exchange.value, '$.accepted_rounds') AS accepted_rounds, position
    FROM results AS one, json_each(outcome) AS exchange
    WHERE json_extract(exchange.value, '$.ending') <> 'failed';

CREATE TRIGGER accepted_added AFTER INSERT ON results BEGIN INSERT OR IGNORE INTO accepted_exchanges
    SELECT DISTINCT mode, json_extract(exchange.value, '$.accepted_rounds') AS accepted_rounds, position
    FROM (SELECT NEW.position AS position, NEW.mode AS mode, NEW.outcome AS outcome) AS one, json_each(outcome) AS exchange
    WHERE json_extract(exchange.value, '$.ending') <> 'failed'
; END;

CREATE TRIGGER accepted_removed AFTER DELETE ON results BEGIN DELETE FROM accepted_exchanges WHERE (mode, accepted_rounds, position) IN (
    SELECT DISTINCT mode, json_extract(exchange.value, '$.accepted_rounds') AS accepted_rounds, position
    FROM (SELECT OLD.position AS position, OLD.mode AS mode, OLD.outcome AS outcome) AS one, json_each(outcome) AS exchange
    WHERE json_extract(exchange.value, '$.ending') <> 'failed'
); END;

CREATE TRIGGER accepted_changed AFTER UPDATE ON results BEGIN DELETE FROM accepted_exchanges WHERE (mode, accepted_rounds, position) IN (
    SELECT DISTINCT mode, json_extract(exchange.value, '$.accepted_rounds') AS accepted_rounds, position
    FROM (SELECT OLD.position AS position, OLD.mode AS mode, OLD.outcome AS outcome) AS one, json_each(outcome) AS exchange
    WHERE json_extract(exchange.value, '$.ending') <> 'failed'
); INSERT OR IGNORE INTO accepted_exchanges
    SELECT DISTINCT mode, json_extract(exchange.value, '$.accepted_rounds') AS accepted_rounds, position
    FROM (SELECT NEW.position AS position, NEW.mode AS mode, NEW.outcome AS outcome) AS one, json_each(outcome) AS exchange
    WHERE json_extract(exchange.value, '$.ending') <> 'failed'
; END;
