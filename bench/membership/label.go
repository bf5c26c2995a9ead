package main

import (
	"fmt"
	"math"
	"strconv"

	"broach/bench/internal/page"
)

// seconds writes a time with as many digits as polling gives.
func seconds(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "never"
	case v < 1:
		return fmt.Sprintf("%.0f ms", v*1000)
	}
	return fmt.Sprintf("%.2f s", v)
}

// untold is page.Count, but NaN stands for a system that gives no reasons.
func untold(v float64) string {
	if math.IsNaN(v) {
		return "gives no reason"
	}
	return page.Count(v)
}

// decimal writes a number with one decimal.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// percent writes a part of one.
func percent(v float64) string { return fmt.Sprintf("%.0f %%", v*100) }

// lossy adds the loss to a title.
func lossy(title string, percent int) string {
	if percent == 0 {
		return title
	}
	return fmt.Sprintf("%s, %d %% loss", title, percent)
}
