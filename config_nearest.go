package broach

import (
	"math"
	"strings"
)

// nearestKey returns the known key that most likely was meant by an unknown one. Case is not a difference, a key put into the
// wrong object is found where it belongs, and among equally near ones the one in the same object is taken.
func nearestKey(object, name string) string {
	name = strings.ToLower(shorten(name))
	nearest, least := "", math.MaxInt
	for _, key := range fileKeys {
		in, leaf := splitKey(key.path)
		distance := 2 * editDistance(name, strings.ToLower(leaf))
		if in != object {
			distance++
		}
		if distance < least {
			nearest, least = key.path, distance
		}
	}
	return nearest
}

func splitKey(path string) (object, leaf string) {
	dot := strings.LastIndexByte(path, '.')
	return path[:max(dot, 0)], path[dot+1:]
}

// editDistance counts the bytes to insert, delete or replace to get from a to b. row holds the distances of what has been
// read of a to each beginning of b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
