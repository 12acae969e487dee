-- Exchanges with a reference, and whether their responses pass the check: 1, 0, or -1 where it had no result or was not
-- made. Runs of earlier versions have none.

CREATE TABLE reference_totals (
    mode TEXT, referenced INTEGER, checked INTEGER, original INTEGER, final INTEGER, exchanges INTEGER,
    PRIMARY KEY (mode, referenced, checked, original, final)
) WITHOUT ROWID;

CREATE TRIGGER referenced_added AFTER INSERT ON results WHEN instr(NEW.outcome, '"agrees"') OR instr(NEW.outcome, '"reference"') BEGIN
    INSERT INTO reference_totals
    SELECT NEW.mode, json_type(value, '$.reference') IS NOT NULL, json_type(value, '$.agrees') IS NOT NULL,
        coalesce(json_extract(value, '$.agrees.original'), -1), coalesce(json_extract(value, '$.agrees.final'), -1), count(*)
    FROM json_each(NEW.outcome) WHERE json_type(value, '$.reference') IS NOT NULL OR json_type(value, '$.agrees') IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (mode, referenced, checked, original, final) DO UPDATE SET exchanges = exchanges + excluded.exchanges
; END;

CREATE TRIGGER referenced_removed AFTER DELETE ON results WHEN instr(OLD.outcome, '"agrees"') OR instr(OLD.outcome, '"reference"') BEGIN
    INSERT INTO reference_totals
    SELECT OLD.mode, json_type(value, '$.reference') IS NOT NULL, json_type(value, '$.agrees') IS NOT NULL,
        coalesce(json_extract(value, '$.agrees.original'), -1), coalesce(json_extract(value, '$.agrees.final'), -1), - count(*)
    FROM json_each(OLD.outcome) WHERE json_type(value, '$.reference') IS NOT NULL OR json_type(value, '$.agrees') IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (mode, referenced, checked, original, final) DO UPDATE SET exchanges = exchanges + excluded.exchanges
; END;
