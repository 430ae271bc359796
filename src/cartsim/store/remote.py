"""Why: an object store shows an object only once it is whole, but it fails in its own dialect (error names, endless
retries). Here it is opened so that it gives up within seconds, and what it says is put into plain words.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from cartsim.errors import InvalidInput, Unreachable

#: Seconds to wait for a connection, seconds without a byte of an answer, attempts before giving up.
PATIENT = (2.0, 20.0, 4)
#: The same for the first question, which is to find out within ten seconds whether anybody is there.
FIRST = (2.0, 3.0, 2)
#: URI scheme -> the kind of store.
SCHEMES = {"s3": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfs"}
#: Options that may stand in the query of a URI, by kind of store.
OPTIONS = {
    "s3": ("endpoint_override", "region", "scheme", "anonymous"),
    "gs": ("endpoint_override", "scheme", "anonymous", "project_id"),
    "abfs": ("account", "endpoint_override", "scheme"),
}
_FAULTS = (
    # (any of these in the message, what it means, what to do)
    (("NO_SUCH_BUCKET", "NoSuchBucket", "bucket does not exist", "ContainerNotFound"),
     "there is no such bucket", "make the bucket first, or correct the name"),
    (("ACCESS_DENIED", "AccessDenied", "INVALID_ACCESS_KEY", "SIGNATURE", "InvalidAccessKeyId", "403", "Forbidden",
      "PERMISSION_DENIED", "AuthenticationFailed"),
     "access is denied", "give credentials that may write there (for s3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"),
    (("credential", "Credential", "UNAUTHENTICATED", "401"),
     "no valid credentials were found", "set the credentials of this store in the environment"),
    (("NETWORK_CONNECTION", "Could not connect", "Couldn't connect", "resolve host", "Connection refused", "timed out",
      "Timeout", "UNAVAILABLE", "curlCode"),
     "the endpoint does not answer", "check the endpoint, the region and the network"),
    (("PermanentRedirect", "301", "AuthorizationHeaderMalformed"),
     "the bucket lies in another region", "give --region"),
    (("SLOW_DOWN", "SlowDown", "503"), "the store is busy", "run again: what is done is kept"),
)  # fmt: skip


def open_store(kind: str, options: Mapping[str, str], patience: tuple[float, float, int] = PATIENT) -> Any:
    """A pyarrow file system. `options` as in OPTIONS; raises `Unreachable` where pyarrow has no such store."""
    import pyarrow.fs as fs

    given = dict(options)
    connect, answer, attempts = patience
    anonymous = given.pop("anonymous", "false").lower() in ("true", "1", "yes")
    try:
        if kind == "s3":
            return fs.S3FileSystem(
                **given,
                anonymous=anonymous,
                connect_timeout=connect,
                request_timeout=answer,
                retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
                background_writes=False,
                # a small file in one request instead of three, and no half of an upload when killed
                allow_delayed_open=True,
            )
        if kind == "gs":
            return fs.GcsFileSystem(
                **given, anonymous=anonymous, retry_time_limit=timedelta(seconds=answer / 2)
            )
        return _azure(fs, given)
    except (ImportError, AttributeError) as error:
        raise Unreachable(f"this pyarrow cannot open {kind}:// stores", why=str(error)) from None


def _azure(fs: Any, given: dict[str, str]) -> Any:
    account = given.get("account") or os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise InvalidInput(
            "an abfs:// folder needs the name of its storage account",
            mend="abfs://container/prefix?account=NAME, or set AZURE_STORAGE_ACCOUNT",
        )
    more: dict[str, str] = {}
    if "endpoint_override" in given:
        more |= {"blob_storage_authority": given["endpoint_override"]}
        more |= {"dfs_storage_authority": given["endpoint_override"]}
    if "scheme" in given:
        more |= {"blob_storage_scheme": given["scheme"], "dfs_storage_scheme": given["scheme"]}
    return fs.AzureFileSystem(account, account_key=os.environ.get("AZURE_STORAGE_KEY"), **more)


class Bucket:
    """Objects below a prefix (`bucket/folder`), by relative names."""

    def __init__(self, kind: str, root: str, options: Mapping[str, str], text: str) -> None:
        self._kind, self._options = kind, options
        self._fs = open_store(kind, options)
        self._root, self._text = root, text

    def write(self, name: str, data: bytes) -> None:
        """A whole object."""
        with self._plain_words("write a file", name):
            self._put(name, data)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A temporary local file to fill; on leaving it is put as `name`, on an exception nothing is."""
        with tempfile.TemporaryDirectory(prefix="cartsim-") as folder:
            temporary = Path(folder) / "file"
            yield temporary
            with (
                self._plain_words("write a file", name),
                temporary.open("rb") as file,
                self._fs.open_output_stream(self._path(name)) as stream,
            ):
                shutil.copyfileobj(file, stream, 8 << 20)

    def read(self, name: str) -> bytes | None:
        """A whole object, None when there is none."""
        with self._plain_words("read a file", name):
            try:
                with self._fs.open_input_stream(self._path(name)) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def open(self, name: str) -> Any:
        """A pyarrow file."""
        with self._plain_words("read a file", name):
            return self._fs.open_input_file(self._path(name))

    def size(self, name: str) -> int | None:
        """Bytes of an object, None when there is none."""
        with self._plain_words("read a file", name):
            info = self._fs.get_file_info(self._path(name))
            return int(info.size) if info.is_file else None

    def listing(self, under: str) -> dict[str, tuple[int, float]]:
        """{name: (bytes, time of the last change by the store's clock)}."""
        from pyarrow.fs import FileSelector

        cut = len(self._root) + 1
        with self._plain_words("list the files", under):
            selector = FileSelector(self._path(under), recursive=True, allow_not_found=True)
            infos = self._fs.get_file_info(selector)
        return {i.path[cut:]: (int(i.size), i.mtime_ns / 1e9) for i in infos if i.is_file}

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._plain_words("remove a file", name), suppress(FileNotFoundError):
            self._fs.delete_file(self._path(name))

    def delete_folders(self, under: str) -> None:
        """Remove the empty objects that stand for folders."""
        if under:
            with suppress(OSError):
                self._fs.delete_dir(self._path(under))

    def reach(self) -> None:
        """Ask for the bucket, then put and remove one small object."""
        bucket = self._root.split("/", 1)[0]
        with self._plain_words("reach the storage", ""):
            first = open_store(self._kind, self._options, FIRST)
            if first.get_file_info(bucket).type.name == "NotFound":
                raise Unreachable(
                    "cannot reach the storage", self._text, f"there is no bucket {bucket}, or you may not see it",
                    "make the bucket first, or correct its name",
                )  # fmt: skip
            trial = f".cartsim-{os.urandom(4).hex()}"
            self._put(trial, b"")
            self._fs.delete_file(self._path(trial))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _put(self, name: str, data: bytes) -> None:
        with self._fs.open_output_stream(self._path(name)) as stream:
            stream.write(data)

    @contextmanager
    def _plain_words(self, doing: str, name: str) -> Iterator[None]:
        """Turn what a store throws into `Unreachable`; `doing` completes "cannot ..."."""
        where = f"{self._text}/{name}" if name else self._text
        try:
            yield
        except OSError as error:
            text = str(error)
            why, mend = fault(text) or (text.partition("\n")[0], None)
            raise Unreachable(f"cannot {doing}", where, why, mend) from error


def fault(text: str) -> tuple[str, str | None] | None:
    """(why, what to do) for a store's own words; None where they are not about reaching it."""
    found = ((why, mend) for words, why, mend in _FAULTS if any(word in text for word in words))
    return next(found, None)
