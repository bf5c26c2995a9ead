package main

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	groupWidth = 0.86 // of the room that a workload has on its axis
	labelGap   = 2    // points, between a bar and its number
)

// bars is the bars of one system: one at each whole number, from the axis up. The bars of package plotter begin at
// zero, which a logarithmic scale does not have.
type bars struct {
	values []float64 // NaN: no bar
	left   float64   // of the first bar's edge from 0
	width  float64
	color  color.Color
	label  text.Style
}

// newBars makes the bars of system i of n.
func newBars(values []float64, i, n int, c color.Color, label text.Style) bars {
	width := groupWidth / float64(n)
	label.Rotation = math.Pi / 2
	label.XAlign, label.YAlign = text.XLeft, text.YCenter
	return bars{values, width*float64(i) - groupWidth/2, width, c, label}
}

// Plot draws the bars, each with its number above it.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, v := range b.values {
		if math.IsNaN(v) {
			continue
		}
		left, right := x(float64(i)+b.left), x(float64(i)+b.left+b.width*0.92)
		low, high := y(p.Y.Min), y(max(v, p.Y.Min))
		c.FillPolygon(b.color, []vg.Point{{X: left, Y: low}, {X: left, Y: high}, {X: right, Y: high},
			{X: right, Y: low}})
		c.FillText(b.label, vg.Point{X: (left + right) / 2, Y: high + labelGap}, brief(v))
	}
}

// Thumbnail draws what stands for the system in the legend.
func (b bars) Thumbnail(c *draw.Canvas) {
	lo, hi := c.Min, c.Max
	c.FillPolygon(b.color, []vg.Point{lo, {X: lo.X, Y: hi.Y}, hi, {X: hi.X, Y: lo.Y}})
}

// brief writes a number with three digits, thousands as k.
func brief(v float64) string {
	unit := ""
	if v >= 1000 {
		v, unit = v/1000, "k"
	}
	digits := max(0, 2-int(math.Log10(max(v, 1))))
	return strconv.FormatFloat(v, 'f', digits, 64) + unit
}
