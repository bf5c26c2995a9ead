package broach

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"broach/internal/seal"
)

// A key is known by its value, too: whoever writes one under a name of his own wants keys, and one at the wrong place must not get
// into the error that says so.

// isKeyText reports whether a text may be a key: 32 bytes in some base64.
func isKeyText(s string) bool {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	key, err := base64.RawStdEncoding.DecodeString(s)
	return err == nil && len(key) == seal.KeySize
}

// holdsKeyText reports whether a value of a file has a text, or a name, that may be a key.
func holdsKeyText(v any) bool {
	switch v := v.(type) {
	case string:
		return isKeyText(v)
	case []any:
		return slices.ContainsFunc(v, holdsKeyText)
	case map[string]any:
		for name, inner := range v {
			if isKeyText(name) || holdsKeyText(inner) {
				return true
			}
		}
	}
	return false
}

// holdsKeyList reports whether a value of a file has, however deep, a list that may be one of keys.
func holdsKeyList(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) > 0 && !slices.ContainsFunc(v, func(v any) bool { return !isAKey(v) }) || slices.ContainsFunc(v, holdsKeyList)
	case map[string]any:
		for _, inner := range v {
			if holdsKeyList(inner) {
				return true
			}
		}
	}
	return false
}

func isAKey(v any) bool {
	text, ok := v.(string)
	return ok && isKeyText(text)
}

// A stray is what stands under a name that is not known.
type stray struct {
	path string
	raw  json.RawMessage
}

// isKeys reports whether it is surely meant to be the keys of the cluster. Beside params the application may have secrets of its own,
// and only a list of keys counts.
func (s stray) isKeys() bool {
	v, _ := decodeJSON[any](s.raw)
	return holdsKeyList(v) || strings.HasPrefix(s.path, "params.") && holdsKeyText(v)
}

// strayKeys refuses keys under names that are not known, in a file that gives none else: the node would be open.
func (f *configFile) strayKeys() {
	if _, given := f.raw["params.keys"]; given {
		return
	}
	for _, s := range f.strays {
		if s.isKeys() {
			f.mistakes = append(f.mistakes, mistake{s.path, "unknown key", "it looks like keys of the cluster, which stand in params.keys"})
		}
	}
}
