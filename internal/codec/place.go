package codec

import "fmt"

// maxPlaces bounds how many places an error names: a value may be a thousand levels deep, and each makes the text anew.
const maxPlaces = 16

// A placed is an error of something within a value, and says where that is.
type placed struct {
	path   string
	levels int
	err    error
}

func (p *placed) Error() string { return p.path + ": " + p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// within says where in a value an error was found. Of many places the innermost are told, and none of what is too large
// or too deep as a whole.
func within(err error, format string, a ...any) error {
	p, ok := err.(*placed)
	switch {
	case err == ErrSize || err == errDepth:
		return err
	case !ok:
		return &placed{path: fmt.Sprintf(format, a...), levels: 1, err: err}
	case p.levels < maxPlaces:
		p.path = fmt.Sprintf(format, a...) + ": " + p.path
	case p.levels == maxPlaces:
		p.path = "…: " + p.path
	}
	p.levels++
	return p
}
