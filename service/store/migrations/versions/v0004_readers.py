"""Which versions may use the store, so that one that is older by a version may go on."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; `service.store.schema` fills them after each migration."""
    for name in ("readable_from", "made_by"):
        op.add_column("meta", sa.Column(name, sa.Text, nullable=False, server_default=""))
