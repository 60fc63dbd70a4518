"""The store: SQL tables for what is asked and changed, kept by all processes of Watchgate.

Whatever a gateway must see raises the revision in the transaction that changes it; gateways
poll the revision and load a snapshot when it moved. No request waits for the store.
"""

from service.store.engine import Store, open_store
from service.store.pepper import load_pepper
from service.store.snapshot import load_snapshot, refresh, revision

__all__ = ["Store", "load_pepper", "load_snapshot", "open_store", "refresh", "revision"]
