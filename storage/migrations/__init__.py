"""Alembic's environment and the migrations, inside the package so that they are found from anywhere."""
