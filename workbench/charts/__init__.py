"""Small charts as inline SVG: they follow the reader's theme, load nothing, run nothing, and say in words what they show.

Values and words come in, markup goes out: no language, no register. Every text is escaped. A drawing library would cost a panel a second
at its first chart, and its colours would not follow the theme.
"""

from workbench.charts.age_rows import Ages, ages
from workbench.charts.columns import Bar, Column, columns
from workbench.charts.time_lanes import Lane, Sign, lanes

__all__ = ["Ages", "Bar", "Column", "Lane", "Sign", "ages", "columns", "lanes"]
