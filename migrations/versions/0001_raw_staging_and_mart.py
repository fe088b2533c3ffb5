"""The three schemas, their tables and indexes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


SCHEMAS = ("raw", "staging", "mart")


def upgrade() -> None:
    there = op.get_bind().scalars(sa.text("SELECT nspname FROM pg_catalog.pg_namespace")).all()
    for schema in SCHEMAS:
        # IF NOT EXISTS would need the privilege to create one even where it is there.
        if schema not in there:
            op.execute(sa.schema.CreateSchema(schema))
    op.create_table(
        "builds",
        sa.Column("mart", sa.Text(), nullable=False, comment="name of the mart's table"),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=True,
            comment="SHA-256 of the query and rules it was built by; null where it must be built in full",
        ),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False, comment="when"),
        sa.Column("method", sa.Text(), nullable=False, comment="full or incremental"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why that method"),
        sa.PrimaryKeyConstraint("mart", name=op.f("pk_builds")),
        schema="mart",
        comment="How each mart was built last. One row per mart that was ever built.",
    )
    op.create_table(
        "customer_ltv",
        sa.Column("customer_id", sa.Text(), nullable=False, comment="customer"),
        sa.Column(
            "lifetime_value", sa.Numeric(precision=38, scale=4), nullable=False, comment="sum of total_amount"
        ),
        sa.Column("order_lines", sa.BigInteger(), nullable=False, comment="number of order lines"),
        sa.Column("first_order_at", sa.DateTime(), nullable=False, comment="time of the first order, UTC"),
        sa.Column("last_order_at", sa.DateTime(), nullable=False, comment="time of the last order, UTC"),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_ltv")),
        schema="mart",
        comment="Lifetime value per customer. One row per customer with revenue.",
    )
    op.create_table(
        "customer_segments",
        sa.Column("customer_id", sa.Text(), nullable=False, comment="customer"),
        sa.Column(
            "lifetime_value",
            sa.Numeric(precision=38, scale=4),
            nullable=False,
            comment="that of mart.customer_ltv",
        ),
        sa.Column("segment", sa.Text(), nullable=False, comment="VIP, High, Medium or Low"),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_segments")),
        schema="mart",
        comment="The segment of each customer, by lifetime value. One row per customer with revenue.",
    )
    op.create_table(
        "daily_revenue",
        sa.Column("order_date", sa.Date(), nullable=False, comment="day of the orders, UTC"),
        sa.Column(
            "revenue", sa.Numeric(precision=38, scale=4), nullable=False, comment="sum of total_amount"
        ),
        sa.Column("order_lines", sa.BigInteger(), nullable=False, comment="number of order lines"),
        sa.PrimaryKeyConstraint("order_date", name=op.f("pk_daily_revenue")),
        schema="mart",
        comment="Revenue per day. One row per order date (UTC).",
    )
    op.create_table(
        "product_revenue",
        sa.Column("product_id", sa.Text(), nullable=False, comment="product"),
        sa.Column(
            "category",
            sa.Text(),
            nullable=False,
            comment="category of the order lines; unknown where it was blank",
        ),
        sa.Column(
            "total_revenue", sa.Numeric(precision=38, scale=4), nullable=False, comment="sum of total_amount"
        ),
        sa.Column("total_quantity", sa.BigInteger(), nullable=False, comment="units sold"),
        sa.Column("order_lines", sa.BigInteger(), nullable=False, comment="number of order lines"),
        sa.Column(
            "avg_order_value",
            sa.Numeric(precision=38, scale=4),
            sa.Computed("total_revenue / order_lines", persisted=True),
            nullable=False,
            comment="revenue per order line, to four decimals",
        ),
        sa.PrimaryKeyConstraint("product_id", "category", name=op.f("pk_product_revenue")),
        schema="mart",
        comment="Revenue per product. One row per product and category it was sold in.",
    )
    op.create_table(
        "batches",
        sa.Column(
            "batch_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="order of loading; of several deliveries of an order line the highest batch_id wins",
        ),
        sa.Column("file_name", sa.Text(), nullable=False, comment="name the file was delivered under"),
        sa.Column(
            "sha256",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the CSV bytes, hexadecimal; unique among the loads that were not forced",
        ),
        sa.Column(
            "forced",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="true where the file was loaded again on purpose",
        ),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False, comment="size of the CSV, bytes"),
        sa.Column(
            "header",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="delivered name of each feed column",
        ),
        sa.Column(
            "numbered_lines",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="true where the rows of an order were numbered in file order",
        ),
        sa.Column("load_date", sa.Date(), nullable=False, comment="day of the load, UTC"),
        sa.Column(
            "loaded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the file was loaded into raw",
        ),
        sa.Column(
            "staged_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the batch was staged; null until then",
        ),
        sa.Column(
            "rules",
            sa.Text(),
            nullable=True,
            comment="SHA-256 of the rules by which its rows were judged last; null until then",
        ),
        sa.Column(
            "built_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when its changes reached the marts; null until then",
        ),
        sa.Column(
            "checked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the checks passed on it; null until then",
        ),
        sa.Column("rows_read", sa.BigInteger(), nullable=False, comment="rows of the file after the header"),
        sa.Column("inserted", sa.BigInteger(), nullable=True, comment="rows that added an order line"),
        sa.Column(
            "updated",
            sa.BigInteger(),
            nullable=True,
            comment="rows that replaced an earlier delivery of their order line",
        ),
        sa.Column(
            "unchanged", sa.BigInteger(), nullable=True, comment="rows that repeated what was already staged"
        ),
        sa.Column(
            "superseded",
            sa.BigInteger(),
            nullable=True,
            comment="rows replaced by a later row of the same order line in the same file",
        ),
        sa.Column(
            "rejected",
            sa.BigInteger(),
            nullable=True,
            comment="rows set aside, with reasons in staging.orders_rejected",
        ),
        sa.CheckConstraint(
            "staged_at IS NOT NULL OR built_at IS NULL", name=op.f("ck_batches_staged_before_built")
        ),
        sa.CheckConstraint(
            "staged_at IS NULL OR coalesce(rows_read = inserted + updated + unchanged + superseded + rejected, false)",
            name=op.f("ck_batches_adds_up"),
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
        schema="raw",
        comment="A delivered CSV file, loaded once; the ledger. One row per batch. Every row of the file has one fate, and the database enforces the sum: rows_read = inserted + updated + unchanged + superseded + rejected.",
    )
    op.create_index(
        "uq_batches_sha256",
        "batches",
        ["sha256"],
        unique=True,
        schema="raw",
        postgresql_where=sa.text("NOT forced"),
    )
    op.create_table(
        "orders_all",
        sa.Column("batch_id", sa.Integer(), nullable=False, comment="the file it came in"),
        sa.Column(
            "source_row",
            sa.BigInteger(),
            nullable=False,
            comment="position in the file; 1 is the first row after the header",
        ),
        sa.Column("load_date", sa.Date(), nullable=False, comment="day of the load, UTC"),
        sa.Column("order_id", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("order_timestamp", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("customer_id", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("product_id", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("category", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("price", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("quantity", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("status", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column(
            "line_number",
            sa.Text(),
            nullable=True,
            comment="as delivered, or the number of the row within its order where minidw numbered the lines",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the columns of the feed beyond these, by their delivered names",
        ),
        sa.PrimaryKeyConstraint("batch_id", "source_row", name=op.f("pk_orders_all")),
        schema="raw",
        comment="Every batch as delivered. One row per row of every file.",
    )
    op.create_table(
        "orders_raw",
        sa.Column(
            "source_row",
            sa.BigInteger(),
            sa.Identity(always=False, cache=1000),
            nullable=False,
            comment="position in the file; 1 is the first row after the header",
        ),
        sa.Column("order_id", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("order_timestamp", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("customer_id", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("product_id", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("category", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("price", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("quantity", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column("status", sa.Text(), nullable=True, comment="as delivered"),
        sa.Column(
            "line_number",
            sa.Text(),
            nullable=True,
            comment="as delivered, or the number of the row within its order where minidw numbered the lines",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the columns of the feed beyond these, by their delivered names",
        ),
        schema="raw",
        comment="The last batch as delivered: the landing table of COPY. One row per row of the file. Unlogged and replaced at each load; raw.orders_all keeps every batch.",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "orders_changes",
        sa.Column(
            "stage",
            sa.Integer(),
            nullable=False,
            comment="the stage that made it, counted since the marts were built",
        ),
        sa.Column("order_id", sa.Text(), nullable=False, comment="order, trimmed and NFC-normalised"),
        sa.Column(
            "line_number",
            sa.Integer(),
            nullable=False,
            comment="position of the line within its order; 1 in a feed of one row per order",
        ),
        sa.Column(
            "change",
            sa.SmallInteger(),
            nullable=False,
            comment="+1 for an order line that appeared, -1 for one that ceased to hold",
        ),
        sa.Column("order_timestamp", sa.DateTime(), nullable=False, comment="time of the order, UTC"),
        sa.Column("customer_id", sa.Text(), nullable=False, comment="customer, trimmed and NFC-normalised"),
        sa.Column("product_id", sa.Text(), nullable=False, comment="product, trimmed and NFC-normalised"),
        sa.Column(
            "category",
            sa.Text(),
            nullable=False,
            comment="product category, trimmed and ASCII-lowered; unknown where it was blank",
        ),
        sa.Column("price", sa.Numeric(precision=14, scale=4), nullable=False, comment="price of one unit"),
        sa.Column("quantity", sa.Integer(), nullable=False, comment="units ordered"),
        sa.Column(
            "total_amount",
            sa.Numeric(precision=38, scale=4),
            sa.Computed("price * quantity", persisted=True),
            nullable=False,
            comment="price * quantity",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="pending, shipped, delivered or cancelled"),
        sa.Column("batch_id", sa.Integer(), nullable=False, comment="the batch it came in"),
        sa.Column("source_row", sa.BigInteger(), nullable=False, comment="its position in that batch's file"),
        sa.CheckConstraint("change IN (-1, 1)", name=op.f("ck_orders_changes_change_is_a_sign")),
        schema="staging",
        comment="A change of staging that the marts do not contain yet. One row per change.",
    )
    op.create_table(
        "orders_rejected",
        sa.Column("batch_id", sa.Integer(), nullable=False, comment="the batch it came in"),
        sa.Column("source_row", sa.BigInteger(), nullable=False, comment="its position in that batch's file"),
        sa.Column("reasons", sa.ARRAY(sa.Text()), nullable=False, comment="every reason, as codes"),
        sa.CheckConstraint("cardinality(reasons) > 0", name=op.f("ck_orders_rejected_has_reasons")),
        sa.PrimaryKeyConstraint("batch_id", "source_row", name=op.f("pk_orders_rejected")),
        schema="staging",
        comment="A delivered row that was not staged; raw.orders_all has the row itself. One row per rejected row.",
    )
    op.create_table(
        "orders_stg",
        sa.Column("order_id", sa.Text(), nullable=False, comment="order, trimmed and NFC-normalised"),
        sa.Column(
            "line_number",
            sa.Integer(),
            nullable=False,
            comment="position of the line within its order; 1 in a feed of one row per order",
        ),
        sa.Column("order_timestamp", sa.DateTime(), nullable=False, comment="time of the order, UTC"),
        sa.Column("customer_id", sa.Text(), nullable=False, comment="customer, trimmed and NFC-normalised"),
        sa.Column("product_id", sa.Text(), nullable=False, comment="product, trimmed and NFC-normalised"),
        sa.Column(
            "category",
            sa.Text(),
            nullable=False,
            comment="product category, trimmed and ASCII-lowered; unknown where it was blank",
        ),
        sa.Column("price", sa.Numeric(precision=14, scale=4), nullable=False, comment="price of one unit"),
        sa.Column("quantity", sa.Integer(), nullable=False, comment="units ordered"),
        sa.Column(
            "total_amount",
            sa.Numeric(precision=38, scale=4),
            sa.Computed("price * quantity", persisted=True),
            nullable=False,
            comment="price * quantity",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="pending, shipped, delivered or cancelled"),
        sa.Column("batch_id", sa.Integer(), nullable=False, comment="the batch it came in"),
        sa.Column("source_row", sa.BigInteger(), nullable=False, comment="its position in that batch's file"),
        sa.CheckConstraint(
            "price > 0 AND price < 'Infinity'", name=op.f("ck_orders_stg_price_positive_and_finite")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'shipped', 'delivered', 'cancelled')",
            name=op.f("ck_orders_stg_status_known"),
        ),
        sa.CheckConstraint("line_number > 0", name=op.f("ck_orders_stg_line_number_positive")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_orders_stg_quantity_positive")),
        sa.PrimaryKeyConstraint("order_id", "line_number", name=op.f("pk_orders_stg")),
        schema="staging",
        comment="The order lines that hold: of each, its newest valid delivery. One row per order line.",
    )
    op.create_index("idx_orders_stg_customer", "orders_stg", ["customer_id"], unique=False, schema="staging")
    op.create_index(
        "idx_orders_stg_order_ts", "orders_stg", ["order_timestamp"], unique=False, schema="staging"
    )
    op.create_index(
        "ix_orders_stg_batch_id",
        "orders_stg",
        ["batch_id"],
        unique=False,
        schema="staging",
        postgresql_using="brin",
    )
    op.create_table(
        "orders_totals",
        sa.Column("status", sa.Text(), nullable=False, comment="pending, shipped, delivered or cancelled"),
        sa.Column("order_lines", sa.BigInteger(), nullable=False, comment="number of order lines"),
        sa.Column("quantity", sa.BigInteger(), nullable=False, comment="units ordered"),
        sa.Column(
            "total_amount", sa.Numeric(precision=38, scale=4), nullable=False, comment="sum of total_amount"
        ),
        sa.PrimaryKeyConstraint("status", name=op.f("pk_orders_totals")),
        schema="staging",
        comment="Control totals of staging.orders_stg, kept by each stage. One row per status. What the marts must add up to, without reading the history again.",
    )
    op.create_table(
        "runs",
        sa.Column(
            "run_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="identifies the attempt",
        ),
        sa.Column(
            "command",
            sa.Text(),
            nullable=False,
            comment="what was asked for: run, load, stage, build or check",
        ),
        sa.Column(
            "batch_id",
            sa.Integer(),
            nullable=True,
            comment="the batch that a run or load brought; null otherwise",
        ),
        sa.Column(
            "file_name",
            sa.Text(),
            nullable=True,
            comment="the file that a run or load was given; null otherwise",
        ),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), nullable=False, comment="when the transaction began"
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when it was about to commit, or had failed",
        ),
        sa.Column(
            "failure", sa.Text(), nullable=True, comment="the error, one line; null where it succeeded"
        ),
        sa.Column(
            "seconds",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="time per step, seconds",
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["raw.batches.batch_id"], name=op.f("fk_runs_batch_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        schema="raw",
        comment="One commit of the warehouse, or one failure to make it. One row per attempt.",
    )
    op.create_table(
        "check_results",
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="the run that made it"),
        sa.Column("name", sa.Text(), nullable=False, comment="name of the check"),
        sa.Column(
            "severity",
            sa.Text(),
            nullable=False,
            comment="error (a run with offending rows is rolled back) or warning",
        ),
        sa.Column("offending", sa.BigInteger(), nullable=False, comment="number of offending rows"),
        sa.Column(
            "samples", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="up to five of them"
        ),
        sa.CheckConstraint("severity IN ('error', 'warning')", name=op.f("ck_check_results_severity_known")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["raw.runs.run_id"], name=op.f("fk_check_results_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_check_results")),
        schema="raw",
        comment="The outcome of a check in a run. One row per run and check.",
    )


def downgrade() -> None:
    op.drop_table("check_results", schema="raw")
    op.drop_table("runs", schema="raw")
    op.drop_table("orders_totals", schema="staging")
    op.drop_index(
        "ix_orders_stg_batch_id", table_name="orders_stg", schema="staging", postgresql_using="brin"
    )
    op.drop_index("idx_orders_stg_order_ts", table_name="orders_stg", schema="staging")
    op.drop_index("idx_orders_stg_customer", table_name="orders_stg", schema="staging")
    op.drop_table("orders_stg", schema="staging")
    op.drop_table("orders_rejected", schema="staging")
    op.drop_table("orders_changes", schema="staging")
    op.drop_table("orders_raw", schema="raw")
    op.drop_table("orders_all", schema="raw")
    op.drop_index(
        "uq_batches_sha256", table_name="batches", schema="raw", postgresql_where=sa.text("NOT forced")
    )
    op.drop_table("batches", schema="raw")
    op.drop_table("product_revenue", schema="mart")
    op.drop_table("daily_revenue", schema="mart")
    op.drop_table("customer_segments", schema="mart")
    op.drop_table("customer_ltv", schema="mart")
    op.drop_table("builds", schema="mart")
