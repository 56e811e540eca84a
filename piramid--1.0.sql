-- piramid 1.0: install script, kept by hand; see CONTRIBUTING.md, "The extension script".
--
-- Sections, in dependency order:
--   1 types and their I/O      2 casts               3 functions of the types
--   4 operators                5 aggregates          6 btree operator classes
--   7 access methods           8 hnsw operator classes
--   9 inspection
--
-- Lines that begin with "--|" document the object below them for users.

-- complain if the script is sourced in psql rather than through CREATE EXTENSION
\echo Use "CREATE EXTENSION piramid" to load this file. \quit

-- ------------------------------------------------------------------------
-- 1 types and their I/O
-- ------------------------------------------------------------------------

-- ------------------------------------------------------------------------
-- 7 access methods
-- ------------------------------------------------------------------------

-- ------------------------------------------------------------------------
-- 8 hnsw operator classes
-- ------------------------------------------------------------------------

-- ------------------------------------------------------------------------
-- 9 inspection
-- ------------------------------------------------------------------------
