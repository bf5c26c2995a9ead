package page

import (
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const margin = 0.1 * vg.Inch

// Picture writes charts side by side into an SVG file, each so wide and high. Without any there is no picture.
func Picture(path string, width, height vg.Length, row []*plot.Plot) error {
	if len(row) == 0 {
		return nil
	}
	canvas := vgsvg.New(width*vg.Length(len(row)), height)
	tiles := draw.Tiles{
		Rows: 1, Cols: len(row), PadX: 2 * margin,
		PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin,
	}
	parts := plot.Align([][]*plot.Plot{row}, tiles, draw.New(canvas))
	for i, c := range row {
		c.Draw(parts[0][i])
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := canvas.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}
