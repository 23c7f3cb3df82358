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

	/*
	 * QEMU's e1000e never asks to be woken and nothing raises a GPE for it. On a real board WAKE#
	 * raises one, whose method notifies the device; here that is done by who reads the status
	 * of this device, in Linux file "status" below /sys/bus/acpi/devices/RIGW0001:00.
	 * ACPI 6.5, "Device Object Notifications", 2: Device Wake.
	 */
	Scope (\_SB)
	{
		Device (RIGW)
		{
			Name (_HID, "RIGW0001")
			Method (_STA)
			{
				Notify (\_SB.PCI0.S18.S00, 2)
				Return (0x0F)
			}
		}
	}

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
		Name (_PRW, Package () { 0x1F, 4 }) /* its WAKE#; no one else has this GPE */
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
