"""From run folders to statistics, tables, figures and a page; imports neither torch nor models."""
