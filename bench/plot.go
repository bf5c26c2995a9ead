package main

import (
	"image/color"
	"math"
	"slices"

	"broach/bench/internal/page"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

const (
	panelWidth    = 6 * vg.Inch
	pictureHeight = 4.5 * vg.Inch
	room          = 20 // times the highest bar, above it, for the legend and the numbers
)

// palette is that of Okabe and Ito, which the colour-blind can tell apart too, with a black, a brown and five dark ones
// of Tol: a colour for each system that is not lossy.
var palette = []color.RGBA{
	{0xd5, 0x5e, 0x00, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x99, 0x99, 0x99, 0xff}, {0x00, 0x72, 0xb2, 0xff},
	{0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0xf0, 0xe4, 0x42, 0xff},
	{0x00, 0x00, 0x00, 0xff}, {0x8c, 0x51, 0x0a, 0xff}, {0x33, 0x22, 0x88, 0xff}, {0x88, 0x22, 0x55, 0xff},
	{0x11, 0x77, 0x33, 0xff}, {0x66, 0x66, 0x00, 0xff}, {0xaa, 0x44, 0x99, 0xff},
}

// A panel is one chart of the picture.
type panel struct {
	title     string
	metric    metric
	workloads []string
	floor     float64 // where the bars begin: the scale is logarithmic and has no zero
}

var panels = []panel{
	{"add(int, int): calls a second", rate, []string{"add1", "add16", "add64", "add256"}, 1000},
	{"echo: MiB a second", volume, []string{"echo1k", "echo64k", "echo1m"}, 1},
}

// draw writes the picture of what was measured. Without any of it there is no picture.
func (p plan) draw(r results, path string) error {
	plot.DefaultFont.Variant = "Sans"
	var row []*plot.Plot
	for _, one := range panels {
		one.workloads = slices.DeleteFunc(slices.Clone(one.workloads), func(w string) bool { return !p.has(w) })
		if len(one.workloads) > 0 {
			row = append(row, p.chart(r, one))
		}
	}
	return page.Picture(path, panelWidth, pictureHeight, row)
}

// has says whether the plan has a workload of that name.
func (p plan) has(name string) bool {
	return slices.ContainsFunc(p.workloads, func(w workload) bool { return w.name == name })
}

// chart draws one panel.
func (p plan) chart(r results, one panel) *plot.Plot {
	c := plot.New()
	c.Title.Text = one.title
	c.Y.Scale = plot.LogScale{}
	c.Y.Tick.Marker = plot.TickerFunc(decades)
	c.NominalX(one.workloads...)
	c.X.Min, c.X.Max = -0.5, float64(len(one.workloads))-0.5
	c.Legend.Top, c.Legend.Left, c.Legend.Padding = true, true, 2
	shown := p.comparable()
	top := one.floor
	for i, s := range shown {
		label := c.Y.Tick.Label
		label.Font.Size = vg.Points(7)
		values := valuesOf(r, one, s)
		b := newBars(values, i, len(shown), palette[slices.IndexFunc(systems, s.is)], label)
		c.Add(b)
		c.Legend.Add(s.title, b)
		top = max(top, highest(values))
	}
	c.Y.Min, c.Y.Max = one.floor, top*room
	return c
}

// comparable are the systems that the picture shows.
func (p plan) comparable() []system {
	return slices.DeleteFunc(slices.Clone(p.systems), func(s system) bool { return s.lossy || s.before || s.gogc > 0 })
}

// is says whether both are the same system.
func (s system) is(other system) bool { return s.name == other.name }

// valuesOf are the heights of a system's bars, NaN where it was not measured.
func valuesOf(r results, one panel, s system) (values []float64) {
	for _, w := range one.workloads {
		v := math.NaN()
		if m, ok := r.median(cell{w, s.name}); ok {
			v = m[one.metric]
		}
		values = append(values, v)
	}
	return values
}

// highest is the largest of values, passing over NaN.
func highest(values []float64) float64 {
	top := 0.0
	for _, v := range values {
		if v > top {
			top = v
		}
	}
	return top
}

// decades marks the powers of ten.
func decades(low, high float64) (ticks []plot.Tick) {
	for v := math.Pow10(int(math.Ceil(math.Log10(low)))); v <= high; v *= 10 {
		ticks = append(ticks, plot.Tick{Value: v, Label: page.Count(v)})
	}
	return ticks
}
