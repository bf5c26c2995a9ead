package environ

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPick(t *testing.T) {
	values, strays := Pick("SHOP_", []string{"SHOP_ADDR", "SHOP_SEEDS"}, []string{
		"SHOP_SEED=a", "PATH=/bin", "SHOP_ADDR=a=b", "SHOP_OLD=", "SHOP_ADR=7", "SHOP_SEEDS=", "=C:=C:\\", "SHOP_",
		"shop_addr=1",
	})
	require.Equal(t, map[string]string{"SHOP_ADDR": "a=b", "SHOP_SEEDS": ""}, values)
	require.Equal(t, []Stray{{"SHOP_ADR", "SHOP_ADDR"}, {"SHOP_SEED", "SHOP_SEEDS"}}, strays)

	values, strays = Pick("SHOP_", []string{"SHOP_ADDR"}, nil)
	require.Empty(t, values)
	require.Empty(t, strays)
}
