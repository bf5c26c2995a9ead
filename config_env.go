package broach

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"broach/internal/environ"
	"broach/internal/jsonfile"
	"broach/internal/seal"
)

// envPrefix begins the names of the variables that override a configuration file.
const envPrefix = "BROACH_"

// noFile is named in place of a file where there is none.
const noFile = "the environment"

// An envVar is a variable of the environment that stands for a field of a Config.
type envVar struct {
	name, field string
	set         func(c *Config, value string) error // what is wrong; ranges are Config's own check
}

// envVars are all of them. They are those that differ from host to host where the file is the same.
var envVars = []envVar{
	textVar("BROACH_NAME", "Name", func(c *Config) *string { return &c.Name }),
	textVar("BROACH_CLUSTER", "Cluster", func(c *Config) *string { return &c.Cluster }),
	textVar("BROACH_LOG_LEVEL", "LogLevel", func(c *Config) *string { return &c.LogLevel }),
	textVar("BROACH_ADDR", "Addr", func(c *Config) *string { return &c.Addr }),
	textVar("BROACH_ADVERTISE", "Advertise", func(c *Config) *string { return &c.Advertise }),
	{"BROACH_SEEDS", "Join", func(c *Config, value string) error {
		c.Join = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
		if len(c.Join) == 0 { // such as "$A,$B" of which neither is set: the node would be alone, and nobody told
			return errors.New("it must name seeds, or not be set at all")
		}
		return nil
	}},
	{keysVar, "Keys", readKeysFile},
}

// keysVar names a file, for what stands in the environment of a process is shown to many.
const keysVar = "BROACH_KEYS_FILE"

func textVar(name, field string, at func(*Config) *string) envVar {
	return envVar{name, field, func(c *Config, value string) error { *at(c) = value; return nil }}
}

// readKeysFile takes the keys of a file. What the variable says is not shown: it may be a key that somebody took for
// what belongs there.
func readKeysFile(c *Config, path string) error {
	if path == "" {
		return errors.New("it must name a file of keys, or not be set at all")
	}
	file, err := seal.ReadKeyFile(path)
	if err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), path, jsonfile.Hidden))
	}
	c.Keys = file.Keys
	if file.IsExposed {
		c.warnings = append(c.warnings, keysVar+": every user of this host may read the file: chmod o-r")
	}
	return nil
}

// override takes up what the environment, in the form of os.Environ, says in place of the file. A variable without a
// value says nothing; but whoever names a file of keys and has none would run a node that is open.
func (f *configFile) override(variables []string) {
	names := make([]string, len(envVars))
	for i, v := range envVars {
		names[i] = v.name
	}
	values, strays := environ.Pick(envPrefix, names, variables)
	for _, v := range envVars {
		value, ok := values[v.name]
		if !ok || value == "" && v.name != keysVar {
			continue
		}
		if err := v.set(&f.cfg, value); err != nil {
			f.envErrs = append(f.envErrs, fmt.Errorf("broach: %s: %w", v.name, err))
			continue
		}
		f.cfg.overridden = append(f.cfg.overridden, v.name)
	}
	for _, s := range strays {
		f.noteStray(s)
	}
	if f.name == noFile && f.cfg.Addr == "" && len(f.cfg.Join) > 0 {
		f.cfg.Addr = "0.0.0.0:0"
	}
}

// noteStray warns of a variable that is not known. Others may have such names: a service called broach has some in each
// container of a Kubernetes namespace. One that seems to bring keys to a node without any is a mistake.
func (f *configFile) noteStray(s environ.Stray) {
	text := fmt.Sprintf("%s: unknown variable: the nearest known one is %s", s.Name, s.Nearest)
	if strings.Contains(s.Name, "KEY") && f.cfg.Keys == nil {
		f.envErrs = append(f.envErrs,
			fmt.Errorf("broach: %s: unknown variable: keys come from the file that %s names", s.Name, keysVar))
		return
	}
	f.cfg.warnings = append(f.cfg.warnings, text)
}

// inEnv puts a mistake of the Config in the words of the environment, if the field's value comes from there.
func (f *configFile) inEnv(m mistake) (error, bool) {
	for _, v := range envVars {
		if rest, ok := cutField(m.field, v.field); ok && slices.Contains(f.cfg.overridden, v.name) {
			return fmt.Errorf("broach: %s%s: %s: %s", v.name, rest, m.value, m.want), true
		}
	}
	return nil, false
}
