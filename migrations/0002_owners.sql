-- Whose images there are. Rows are never deleted, so that no id is used twice.

CREATE TABLE owners (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL COLLATE "C" CONSTRAINT owners_name_unique UNIQUE
                CONSTRAINT owners_name_form CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Its id is 1, which `Owner::DEFAULT` repeats.
INSERT INTO owners (name) VALUES ('default');
