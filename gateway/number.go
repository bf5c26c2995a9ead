package gateway

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// exactInt reads a number of JSON as an integer, in whatever notation, if it is exactly one: 1e3 and 1.0 are, 1.5 and
// what has more than 64 bits are not.
func exactInt(text string) (isNegative bool, magnitude uint64, ok bool) {
	text, isNegative = strings.CutPrefix(text, "-")
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa = text[:i]
		exponent = shortInt(text[i+1:])
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	point := len(digits) - len(fraction) + exponent // where the point stands in digits
	digits = strings.TrimRight(digits, "0")
	switch {
	case digits == "":
		return false, 0, true
	case point < len(digits) || point > 20:
		return false, 0, false
	}
	magnitude, err := strconv.ParseUint(digits+strings.Repeat("0", point-len(digits)), 10, 64)
	return isNegative, magnitude, err == nil
}

// shortInt reads an exponent; those that are far from any use are all alike.
func shortInt(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n > 1<<30 || n < -1<<30 {
		if strings.HasPrefix(text, "-") {
			return -1 << 30
		}
		return 1 << 30
	}
	return n
}

// bitsOf are those of an integer kind, negative if it is signed.
var bitsOf = map[string]int{"int": -64, "int8": -8, "int16": -16, "int32": -32, "int64": -64,
	"uint": 64, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64}

// integer reads a number for an integer kind. The provider's int may have 32 bits, which the call will find out.
func integer(text, kind string) (any, error) {
	isNegative, magnitude, ok := exactInt(text)
	bits := bitsOf[kind]
	switch {
	case !ok:
		return nil, errors.New("is no " + kind)
	case bits > 0 && isNegative, bits > 0 && magnitude > math.MaxUint64>>(64-bits):
		return nil, errors.New("is out of the range of " + kind)
	case bits > 0:
		return magnitude, nil
	}
	most := uint64(1) << (-bits - 1)
	if !isNegative {
		most--
	}
	switch {
	case magnitude > most:
		return nil, errors.New("is out of the range of " + kind)
	case isNegative:
		return -int64(magnitude), nil // the least of them is its own negative
	}
	return int64(magnitude), nil
}

// float reads a number for a float kind: the nearest that there is, as everybody's JSON does.
func float(text, kind string) (any, error) {
	bits := 64
	if kind == "float32" {
		bits = 32
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return nil, errors.New("is out of the range of " + kind)
	}
	if bits == 32 {
		return float32(f), nil
	}
	return f, nil
}

// natural reads a number for a parameter of any type: an integer if it is written as one.
func (n number) natural() (any, error) {
	if strings.ContainsAny(string(n), ".eE") || n == "-0" {
		return float(string(n), "float64")
	}
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(string(n), 10, 64); err == nil {
		return u, nil
	}
	return nil, errors.New("has more than 64 bits: write it with an exponent to have the nearest float")
}

// appendFloat writes a float as JavaScript does, but with an exponent where without one it would be an integer of more
// than 64 bits. What is no number is a text.
func appendFloat(b []byte, f float64, bits int) []byte {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	case abs != 0 && (abs < 1e-6 || abs >= 1<<63):
		return strconv.AppendFloat(b, f, 'e', -1, bits)
	}
	return strconv.AppendFloat(b, f, 'f', -1, bits)
}

var notFinite = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}
