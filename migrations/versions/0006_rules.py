"""The rules of the warehouse are kept in it: raw.rules, one row per rule and version."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rules",
        sa.Column(
            "name", sa.Text(), nullable=False, comment="the setting of the same name, such as ORDER_DATE_MIN"
        ),
        sa.Column("version", sa.Integer(), nullable=False, comment="counted from 1 for each rule"),
        sa.Column(
            "value",
            sa.Text(),
            nullable=True,
            comment="as the setting is written; null where the rule has no value",
        ),
        sa.Column(
            "origin",
            sa.Text(),
            nullable=False,
            comment="default where nobody said anything, environment where it was taken from there, set where it was asked for, before where it is what held before the warehouse kept its rules",
        ),
        sa.Column(
            "set_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when",
        ),
        sa.Column(
            "set_by",
            sa.Text(),
            server_default=sa.text("SESSION_USER"),
            nullable=False,
            comment="the account of the database that did it",
        ),
        sa.CheckConstraint(
            "origin IN ('default', 'environment', 'set', 'before')", name=op.f("ck_rules_origin_known")
        ),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_rules")),
        schema="raw",
        comment="A rule of the warehouse as it was set; of each, the newest version is in force. One row per rule and version.",
    )
    command_comment(
        "what was asked for: run, load, stage, build, check, prune or rules",
        "what was asked for: run, load, stage, build, check or prune",
    )


def downgrade() -> None:
    earlier = op.get_context().script.get_revision("0002").module
    earlier.refuse_loss(
        down_revision,
        "(SELECT DISTINCT ON (name) origin FROM raw.rules ORDER BY name, version DESC) AS r"
        " WHERE origin NOT IN ('default', 'before')",
        "rules that are not the default, see minidw rules",
    )
    command_comment(
        "what was asked for: run, load, stage, build, check or prune",
        "what was asked for: run, load, stage, build, check, prune or rules",
    )
    op.drop_table("rules", schema="raw")


def command_comment(new: str, old: str) -> None:
    op.alter_column(
        "runs",
        "command",
        existing_type=sa.Text(),
        comment=new,
        existing_comment=old,
        existing_nullable=False,
        schema="raw",
    )
