package main

import (
	"fmt"
	"image/color"
	"slices"
	"strconv"

	"broach/bench/internal/page"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	panelWidth    = 5.5 * vg.Inch
	pictureHeight = 4 * vg.Inch
	dot           = 3 // points, radius

	instant = 0.5  // seconds where the axis of detection begins
	blink   = 0.05 // seconds where that of healing begins
	ceiling = 150  // seconds where both end: room above never
)

// palette is that of Okabe and Ito, which the colour-blind can tell apart too: a colour for each of systems.
var palette = []color.RGBA{{0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x72, 0xb2, 0xff}, {0x00, 0x9e, 0x73, 0xff}}

// colorOf is the same in every picture.
func colorOf(s system) color.RGBA {
	return palette[slices.IndexFunc(systems, func(one system) bool { return one.name == s.name })]
}

// draw writes the picture of what was measured. Without any of it there is no picture.
func (p plan) draw(r results, path string) error {
	plot.DefaultFont.Variant = "Sans"
	var row []*plot.Plot
	if p.detections(r, p.systems[0]) != nil {
		row = append(row, p.detectionChart(r))
	}
	if len(r[cell{"cut", 0, p.systems[0].name}]) > 0 {
		row = append(row, p.healChart(r))
	}
	return page.Picture(path, panelWidth, pictureHeight, row)
}

// newChart has seconds upwards, on a logarithmic scale: the systems are far apart.
func newChart(title string, low float64) *plot.Plot {
	c := plot.New()
	c.Title.Text = title
	c.Y.Label.Text = "seconds"
	c.Y.Scale = plot.LogScale{}
	c.Y.Tick.Marker = plot.TickerFunc(ticks)
	c.Y.Min, c.Y.Max = low, ceiling
	return c
}

// ticks marks 1, 2 and 5 of each decade, and where never is drawn.
func ticks(low, _ float64) (list []plot.Tick) {
	for _, v := range []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20} {
		if v >= low {
			list = append(list, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
		}
	}
	return append(list, plot.Tick{Value: limit.Seconds(), Label: "never"})
}

// detections are the medians until all know, by loss in percent, nil where there are none.
func (p plan) detections(r results, s system) (points plotter.XYs) {
	for _, one := range scenarios {
		if values := r[cell{one.name, allKnow, s.name}]; one.kills && len(values) > 0 {
			points = append(points, plotter.XY{X: one.loss * 100, Y: height(median(values), instant)})
		}
	}
	return points
}

// detectionChart has a line for each system.
func (p plan) detectionChart(r results) *plot.Plot {
	c := newChart("a node is killed: until all know", instant)
	c.X.Label.Text = "% of the datagrams lost"
	c.Legend.Left, c.Legend.Top = true, true
	for _, s := range p.systems {
		points := p.detections(r, s)
		line := &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: colorOf(s), Width: 2}}
		c.Add(line, dots(points, s))
		c.Legend.Add(s.title, line)
	}
	c.X.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 5, Label: "5"}, {Value: 10, Label: "10"},
		{Value: 25, Label: "25"}}
	c.X.Min, c.X.Max = 0, 26
	c.Y.Min, c.Y.Max = instant, ceiling
	return c
}

// healChart has a dot for each round, and the median in figures.
func (p plan) healChart(r results) *plot.Plot {
	c := newChart(fmt.Sprintf("healed after a cut of %v: until all see all", p.cut), blink)
	var titles []string
	for i, s := range p.systems {
		values := r[cell{"cut", 0, s.name}]
		var points plotter.XYs
		for _, v := range values {
			points = append(points, plotter.XY{X: float64(i), Y: height(v, blink)})
		}
		c.Add(dots(points, s))
		titles = append(titles, s.title+"\n"+seconds(median(values)))
	}
	c.NominalX(titles...)
	c.X.Min, c.X.Max = -0.5, float64(len(titles))-0.5
	c.Y.Min, c.Y.Max = blink, ceiling
	return c
}

// height is where a time is drawn on an axis that begins at low.
func height(v, low float64) float64 { return min(max(v, low), limit.Seconds()) }

// dots draws points in the colour of a system.
func dots(points plotter.XYs, s system) *plotter.Scatter {
	style := draw.GlyphStyle{Color: colorOf(s), Radius: dot, Shape: draw.CircleGlyph{}}
	return &plotter.Scatter{XYs: points, GlyphStyle: style}
}
