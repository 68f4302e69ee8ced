"""Stores on a real PostgreSQL server: the contract of all stores, and what only a server can do."""

import pytest
from test_stores import StoreContract

from aiodag.errors import StoreError
from aiodag.stores.places import store_at


@pytest.fixture(autouse=True)
def no_grace(monkeypatch):
    """The server has just started, and for a while no lease would run out."""
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)


@pytest.fixture
def store(postgres_address):
    store = store_at(postgres_address)
    yield store
    store.close()


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def store(self, postgres_address):
        store = store_at(postgres_address)
        yield store
        store.close()

    @pytest.mark.parametrize("keep", ["-1", "true", "1.5"])
    def test_what_is_no_number_of_bytes_to_keep_is_refused(self, postgres_address, keep):
        with pytest.raises(StoreError, match="keep="):
            store_at(f"{postgres_address}&keep={keep}")
