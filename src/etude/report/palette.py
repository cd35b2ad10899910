"""The colours of figures in files; the page has its own, for light and dark, in `page.css`."""

# Okabe & Ito, "Color universal design" (2008), without the yellow, which print loses.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777")
# What `chart.css` calls paper, ink and so on.
PAPER = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "soft": "#5c6670",
    "rule": "#d9dee3",
    **{f"c{index}": colour for index, colour in enumerate(COLOURS)},
}
