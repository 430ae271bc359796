"""Why: what is said about a run belongs into its folder, with the provenance of the run, and its manifest must vouch
for it as for everything else there.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from hashlib import sha256

import pyarrow as pa

from cartsim.record import check, schema
from cartsim.store.content import content_sums
from cartsim.store.files import TableReceipt, encode
from cartsim.store.lock import hold
from cartsim.store.manifest import COMPLETE, other_files, read_manifest, rewrite, table_entries
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance
from cartsim.store.reader import footer_of, parts_of

TABLE = "sensitivity"
PICTURES = ("sensitivity.png", "sensitivity.svg")


def publish(place: Place, findings: pa.Table, pictures: Mapping[str, bytes]) -> list[str]:
    """Write `sensitivity.parquet` and `pictures` into a run's folder, replacing earlier ones; returns their names.

    `findings` is that of `findings_table`. Under a lock; a run that is not complete has no list of its files yet.
    """
    table = findings.cast(schema(TABLE))
    check(TABLE, table)
    # what made the tallies made this: nothing else went in
    held = json.loads(footer_of(place, parts_of(place, "tallies", partial=True)[0]))
    provenance = Provenance(**{field.name: held[field.name] for field in fields(Provenance)})
    name, data = f"{TABLE}.parquet", encode(TABLE, table, provenance)
    rows, first, second = content_sums(TABLE, table)
    receipt = TableReceipt(TABLE, name, rows, len(data), sha256(data).hexdigest(), (first, second))
    files = {name: data, **pictures}
    with hold(place, TABLE):
        for path, content in files.items():
            place.write_bytes(path, content)
        # a picture of an earlier question must not stand beside this answer
        gone = [path for path in PICTURES if path not in files]
        for path in gone:
            place.delete(path)
        manifest = read_manifest(place, partial=True)
        if manifest.get("status") == COMPLETE:
            others = [file for file in manifest["files"] if file["path"] not in (*files, *gone)]
            tables = [entry for entry in manifest["tables"] if entry["name"] != TABLE]
            manifest["files"] = sorted(
                [*others, *other_files(place, pictures)], key=lambda file: file["path"]
            )
            manifest["tables"] = [*tables, *table_entries({TABLE: [receipt]})["tables"]]
            rewrite(place, manifest)
    return list(files)
