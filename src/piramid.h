/*-------------------------------------------------------------------------
 *
 * piramid.h
 *	  Extension-wide names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PIRAMID_H
#define PIRAMID_H

#define PIR_EXTENSION_NAME	"piramid"
#define PIR_VERSION			"1.0.0"

#endif							/* PIRAMID_H */
