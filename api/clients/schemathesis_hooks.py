"""What schemathesis cannot know of the api's requests: the key, and that a file is a picture."""

import os
import struct
import zlib

import schemathesis

KEY = os.environ["KEY"]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(20)))
    + chunk(b"IEND", b"")
)


@schemathesis.hook
def map_body(context, body):
    """Uploads a picture where the file would be random bytes."""
    if isinstance(body, dict) and isinstance(body.get("file"), bytes):
        return {**body, "file": PNG}
    return body


# Members of JSON that may be absent. `null` counts as absent, which is not in the schema.
OPTIONAL = {"expires_at", "expires_in", "fields", "max_bytes", "origin", "uses"}


@schemathesis.hook
def filter_case(context, case):
    """Leaves out values that would be invalid if they did not count as absent, and responses without what their schema requires."""
    if "fields" in (case.query or {}):
        return False
    if not isinstance(case.body, dict):
        return True
    if case.media_type == "multipart/form-data":
        # They are not even sent.
        return all(value not in (None, []) for value in case.body.values())
    return all(case.body.get(name, "") is not None for name in OPTIONAL)


if KEY:

    @schemathesis.auth()
    class Key:
        def get(self, case, context):
            return KEY

        def set(self, case, data, context):
            # Checks send requests without a key and with a wrong one.
            case.headers["Authorization"] = f"Bearer {data}"
