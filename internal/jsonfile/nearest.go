package jsonfile

import (
	"math"
	"slices"
	"strings"
)

// meant returns the known key that an unknown one is surely meant to be, or "": one that differs in a letter of three
// at most, or that Guess names.
func (s *Schema) meant(object, name string) string {
	nearest := s.Nearest(object, name)
	_, leaf := splitKey(nearest)
	name = strings.ToLower(Shortened(name))
	switch {
	case 3*editDistance(name, strings.ToLower(leaf)) <= len(leaf):
		return nearest
	case s.Guess != nil:
		return s.Guess(object, name)
	}
	return ""
}

// Nearest returns the known key that most likely was meant by an unknown one. Case is not a difference, a key put into
// the wrong object is found where it belongs, and among equally near ones the one in the same object is taken.
func (s *Schema) Nearest(object, name string) string {
	name = strings.ToLower(Shortened(name))
	nearest, least := "", math.MaxInt
	for _, key := range s.Keys {
		in, leaf := splitKey(key.Path)
		distance := 2 * editDistance(name, strings.ToLower(leaf))
		if in != object {
			distance++
		}
		if distance < least {
			nearest, least = key.Path, distance
		}
	}
	return nearest
}

func splitKey(path string) (object, leaf string) {
	dot := strings.LastIndexByte(path, '.')
	return path[:max(dot, 0)], path[dot+1:]
}

// editDistance counts the bytes to insert, delete, replace or swap with their neighbour to get from a to b. d[i][j] is
// what leads from the first i of a to the first j of b.
func editDistance(a, b string) int {
	d := slices.Collect(slices.Chunk(make([]int, (len(a)+1)*(len(b)+1)), len(b)+1))
	for j := range d[0] {
		d[0][j] = j
	}
	for i := range len(a) {
		d[i+1][0] = i + 1
		for j := range len(b) {
			replaced := d[i][j]
			if a[i] != b[j] {
				replaced++
			}
			d[i+1][j+1] = min(replaced, d[i][j+1]+1, d[i+1][j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d[i+1][j+1] = min(d[i+1][j+1], d[i-1][j-1]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
