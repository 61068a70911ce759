"""The store as a dry run sees it: connected like any other, but nothing is made in it, no collection, no index."""

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.collections import Store
from schemas.mongo import pooled_database, serve, store_errors
from schemas.settings import Settings


@contextmanager
def connect_to_read(settings: Settings) -> Iterator[Store]:
    """Give the database that the settings name, for the length of a `with` block, and change nothing in it.

    Raises
    ------
    SettingsError, StoreError
        As `schemas.mongo.connect` does.
    """
    with serve(settings) as served, store_errors(served):
        yield pooled_database(served)
