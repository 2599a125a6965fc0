"""Pictures of numbers, drawn by Matplotlib: PNG for the dashboard, SVG for pages."""
