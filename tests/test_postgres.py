"""Stores on a real PostgreSQL server: the contract of all stores, and what only a server can do."""

import pytest
from test_stores import StoreContract

from aiodag.errors import StoreError
from aiodag.stores.places import store_at


@pytest.fixture
def store(postgres_store):
    return postgres_store


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def store(self, postgres_store):
        return postgres_store

    @pytest.mark.parametrize("keep", ["-1", "true", "1.5"])
    def test_what_is_no_number_of_bytes_to_keep_is_refused(self, postgres_address, keep):
        with pytest.raises(StoreError, match="keep="):
            store_at(f"{postgres_address}&keep={keep}")
