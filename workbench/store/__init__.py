"""The one door to SQL: the register's schema and migrations, two kinds of database, and a module for each thing that is kept."""
