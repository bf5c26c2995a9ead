package broach

import (
	"encoding/base64"
	"slices"
	"strings"

	"broach/internal/jsonfile"
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

// isKeys reports whether what stands under an unknown name is surely meant to be the keys of the cluster. Beside params the application may have
// secrets of its own, and only a list of keys counts.
func (f *configFile) isKeys(s jsonfile.Stray) bool {
	v, _ := jsonfile.Decode[any](s.Raw)
	return holdsKeyList(v) || strings.HasPrefix(s.Path, "params.") && f.HoldsSecret(s.Raw)
}

// meantKeys says that in params whatever speaks of keys is meant to be those of the cluster: passed over, it would leave the node open.
func meantKeys(object, name string) string {
	if strings.HasPrefix(object, "params") && strings.Contains(name, "key") {
		return "params.keys"
	}
	return ""
}

// strayKeys refuses keys under names that are not known, in a file that gives none else: the node would be open.
func (f *configFile) strayKeys() {
	if _, given := f.Raw["params.keys"]; given {
		return
	}
	for _, s := range f.Strays {
		if f.isKeys(s) {
			f.Mistakes = append(f.Mistakes, jsonfile.Mistake{
				Path: s.Path, Value: "unknown key", Want: "it looks like keys of the cluster, which stand in params.keys",
			})
		}
	}
}
