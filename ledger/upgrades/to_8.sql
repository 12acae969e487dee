-- The kind of a failure and its message are columns of their own. A program of version 7 that is still writing puts both
-- into one text, "kind: message", which the triggers take apart.

ALTER TABLE calls ADD COLUMN failure_kind VARCHAR;

ALTER TABLE results ADD COLUMN failure_kind VARCHAR;

UPDATE calls
SET failure_kind = substr(failure, 1, instr(failure, ': ') - 1), failure = substr(failure, instr(failure, ': ') + 2)
WHERE instr(failure, ': ');

UPDATE results
SET failure_kind = substr(reason, 1, instr(reason, ': ') - 1), reason = substr(reason, instr(reason, ': ') + 2)
WHERE status = 'failed' AND instr(reason, ': ');

DROP INDEX results_not_done;

CREATE INDEX results_not_done ON results (failure_kind, reason, status) WHERE status <> 'done';

CREATE TRIGGER call_failure_split AFTER INSERT ON calls WHEN NEW.failure_kind IS NULL AND instr(NEW.failure, ': ') BEGIN
    UPDATE calls
    SET failure_kind = substr(failure, 1, instr(failure, ': ') - 1), failure = substr(failure, instr(failure, ': ') + 2)
    WHERE number = NEW.number;
END;

CREATE TRIGGER result_failure_split AFTER INSERT ON results
WHEN NEW.status = 'failed' AND NEW.failure_kind IS NULL AND instr(NEW.reason, ': ') BEGIN
    UPDATE results
    SET failure_kind = substr(reason, 1, instr(reason, ': ') - 1), reason = substr(reason, instr(reason, ': ') + 2)
    WHERE position = NEW.position AND mode = NEW.mode;
END;
