/*
 * What the rig adds to QEMU's ACPI tables: a power rail for three of its root ports and the
 * devices below it, so that Linux on the rig's host can put them into D3cold as on a real laptop.
 * QEMU names the device at slot 3 S18 and its function below S00 (slot * 8, in hexadecimal).
 *
 * ACPI 6.5, "Declaring a Power Resource Object", "_PR0", "_PR3".
 */
DefinitionBlock ("", "SSDT", 2, "MINVMM", "RIGPR3", 1)
{
	External (\_SB.PCI0.S18, DeviceObj)
	External (\_SB.PCI0.S18.S00, DeviceObj)
	External (\_SB.PCI0.S20, DeviceObj)
	External (\_SB.PCI0.S20.S00, DeviceObj)
	External (\_SB.PCI0.S30, DeviceObj)
	External (\_SB.PCI0.S30.S00, DeviceObj)

	Scope (\_SB.PCI0.S18)
	{
		Name (RAIL, One)
		PowerResource (PWR1, 0, 0)
		{
			Method (_STA) { Return (RAIL) }
			Method (_ON)  { RAIL = One }
			Method (_OFF) { RAIL = Zero }
		}
		Name (_S0W, 4)
		Name (_PR0, Package () { PWR1 })
		Name (_PR3, Package () { PWR1 })
	}
	Scope (\_SB.PCI0.S18.S00)
	{
		Name (_S0W, 4)
		Name (_PR0, Package () { PWR1 })
		Name (_PR3, Package () { PWR1 })
	}

	Scope (\_SB.PCI0.S20)
	{
		Name (RAIL, One)
		PowerResource (PWR2, 0, 0)
		{
			Method (_STA) { Return (RAIL) }
			Method (_ON)  { RAIL = One }
			Method (_OFF) { RAIL = Zero }
		}
		Name (_S0W, 4)
		Name (_PR0, Package () { PWR2 })
		Name (_PR3, Package () { PWR2 })
	}
	Scope (\_SB.PCI0.S20.S00)
	{
		Name (_S0W, 4)
		Name (_PR0, Package () { PWR2 })
		Name (_PR3, Package () { PWR2 })
	}

	Scope (\_SB.PCI0.S30)
	{
		Name (RAIL, One)
		PowerResource (PWR3, 0, 0)
		{
			Method (_STA) { Return (RAIL) }
			Method (_ON)  { RAIL = One }
			Method (_OFF) { RAIL = Zero }
		}
		Name (_S0W, 4)
		Name (_PR0, Package () { PWR3 })
		Name (_PR3, Package () { PWR3 })
	}
	Scope (\_SB.PCI0.S30.S00)
	{
		Name (_S0W, 4)
		Name (_PR0, Package () { PWR3 })
		Name (_PR3, Package () { PWR3 })
	}
}
